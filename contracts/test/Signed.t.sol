// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {DataTokenRegistry} from "../src/DataTokenRegistry.sol";
import {IDataTokenRegistry} from "../src/interfaces/IDataTokenRegistry.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {GrantWord} from "../src/lib/GrantWord.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @dev A wallet that accepts one digest.
contract Wallet is IERC1271 {
    bytes32 private immutable _accepted;

    constructor(bytes32 accepted) {
        _accepted = accepted;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return hash == _accepted ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}

contract SignedTest is Fixture {
    using GrantWord for uint256;

    uint64 private constant DEADLINE = NOW + 3600;

    struct Mint {
        address owner;
        uint8 kind;
        bytes32 proof;
        bytes32 ddo;
        bytes32 childrenHash;
        uint16 children;
        uint32 salt;
        uint64 deadline;
    }

    struct Grant {
        bytes32 child;
        bytes32 parent;
        uint64 expiry;
        uint32 maxRounds;
        uint32 epoch;
        uint64 deadline;
    }

    bytes32 private child;
    bytes32 private parent;

    function setUp() public override {
        super.setUp();
        child = leaf(user);
        parent = mint(bankA, DATA, list(child));
    }

    function mintOf(address owner) private pure returns (Mint memory) {
        return Mint(owner, DATA, keccak256("proof"), keccak256("ddo"), 0, 0, 3, DEADLINE);
    }

    function hashOf(Mint memory m) private pure returns (bytes32) {
        bytes32 typeHash = keccak256(
            "Mint(address owner,uint8 kind,bytes32 proof,bytes32 ddo,bytes32 childrenHash,uint16 children,uint32 salt,uint64 deadline)"
        );
        return keccak256(bytes.concat(typeHash, abi.encode(m)));
    }

    function send(Mint memory m, bytes memory sig) private returns (bytes32) {
        vm.prank(relayer);
        return tokens.mintBySig(
            m.owner, m.kind, m.proof, m.ddo, m.childrenHash, m.children, m.salt, m.deadline, sig
        );
    }

    function grantOf(uint64 expiry, uint32 maxRounds, uint32 epoch)
        private
        view
        returns (Grant memory)
    {
        return Grant(child, parent, expiry, maxRounds, epoch, DEADLINE);
    }

    function hashOf(Grant memory g) private pure returns (bytes32) {
        bytes32 typeHash = keccak256(
            "Grant(bytes32 child,bytes32 parent,uint64 expiry,uint32 maxRounds,uint32 epoch,uint64 deadline)"
        );
        return keccak256(bytes.concat(typeHash, abi.encode(g)));
    }

    function send(Grant memory g, bytes memory sig) private {
        vm.prank(relayer);
        tokens.grantBySig(g.child, g.parent, g.expiry, g.maxRounds, g.epoch, g.deadline, sig);
    }

    function sendSigned(Grant memory g) private {
        send(g, signature(USER_KEY, hashOf(g)));
    }

    function revokeHash(uint32 epoch, uint64 deadline) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Revoke(bytes32 child,bytes32 parent,uint32 epoch,uint64 deadline)");
        return keccak256(abi.encode(typeHash, child, parent, epoch, deadline));
    }

    function sendRevoke(uint32 epoch, bytes memory sig) private {
        vm.prank(relayer);
        tokens.revokeBySig(child, parent, epoch, DEADLINE, sig);
    }

    function expectInvalid(address signer) private {
        vm.expectRevert(
            abi.encodeWithSelector(IDataTokenRegistry.InvalidSignature.selector, signer)
        );
    }

    function expectStale(uint32 stored, uint32 given) private {
        vm.expectRevert(
            abi.encodeWithSelector(IDataTokenRegistry.StaleEpoch.selector, stored, given)
        );
    }

    // ---- mint

    /// @dev Acceptance: 70
    function test_a_user_without_funds_mints_through_a_relayer() external {
        Mint memory m = mintOf(user);
        bytes32 dt = send(m, signature(USER_KEY, hashOf(m)));
        assertEq(tokens.token(dt).owner, user);
        assertEq(dt, tokens.dtOf(user, m.proof, 0, 3));
    }

    function test_replayed_signed_mint() external {
        Mint memory m = mintOf(user);
        bytes memory sig = signature(USER_KEY, hashOf(m));
        bytes32 dt = send(m, sig);
        vm.expectRevert(abi.encodeWithSelector(IDataTokenRegistry.TokenExists.selector, dt));
        send(m, sig);
    }

    /// @dev Acceptance: 39, 69
    function test_an_unregistered_user_cannot_publish_through_a_relayer() external {
        Mint memory m = mintOf(stranger);
        bytes memory sig = signature(4, hashOf(m));
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NotParticipant.selector, stranger));
        send(m, sig);
    }

    function testFuzz_a_relayer_cannot_change_a_signed_mint(uint256 field, uint256 value) external {
        Mint memory m = mintOf(user);
        bytes memory sig = signature(USER_KEY, hashOf(m));
        field = bound(field, 0, 7);
        if (field == 0) m.owner = other;
        if (field == 1) m.kind = uint8(bound(value, 2, 3));
        if (field == 2) m.proof = keccak256(abi.encode(value));
        if (field == 3) m.ddo = keccak256(abi.encode(value));
        if (field == 4) m.childrenHash = keccak256(abi.encode(value));
        if (field == 5) m.children = uint16(bound(value, 1, type(uint16).max));
        if (field == 6) m.salt = uint32(bound(value, 4, type(uint32).max));
        if (field == 7) m.deadline = uint64(bound(value, DEADLINE + 1, type(uint64).max));
        expectInvalid(m.owner);
        send(m, sig);
    }

    function test_dirty_bits_do_not_stretch_a_signature() external {
        Mint memory m = mintOf(user);
        bytes memory call = abi.encodeCall(
            tokens.mintBySig,
            (m.owner, m.kind, m.proof, m.ddo, 0, 0, 3, DEADLINE, signature(USER_KEY, hashOf(m)))
        );
        call[4] = 0x01; // above the owner's 160 bits
        vm.prank(relayer);
        (bool done,) = address(tokens).call(call);
        assertEq(done, false);
    }

    // ---- grant

    /// @dev Acceptance: 41, 73
    function test_a_user_without_funds_grants_through_a_relayer() external {
        vm.expectEmit(true, true, true, true);
        emit IDataTokenRegistry.Granted(child, parent, user, NOW + 60, 5, 0);
        sendSigned(grantOf(NOW + 60, 5, 0));
        assertEq(wordOf(child, parent), GrantWord.pack(NOW + 60, 5, 0, 0));
    }

    function test_replayed_signed_grant_after_a_revocation() external {
        Grant memory g = grantOf(0, 0, 0);
        bytes memory sig = signature(USER_KEY, hashOf(g));
        send(g, sig);
        revoke(child, parent);
        expectStale(1, 0);
        send(g, sig);
        assertEq(isActive(child, parent), false);
    }

    function test_replayed_signed_grant_over_a_narrower_direct_one() external {
        Grant memory g = grantOf(0, 0, 0);
        bytes memory sig = signature(USER_KEY, hashOf(g));
        send(g, sig);
        grant(child, parent, NOW + 60, 1);
        expectStale(1, 0);
        send(g, sig);
    }

    function test_replayed_signed_grant_changes_nothing() external {
        Grant memory g = grantOf(NOW + 60, 5, 0);
        bytes memory sig = signature(USER_KEY, hashOf(g));
        send(g, sig);
        vm.expectRevert(
            abi.encodeWithSelector(IDataTokenRegistry.GrantNotTighter.selector, parent, child)
        );
        send(g, sig);
    }

    function test_withheld_signed_grant_is_void_after_a_pre_emptive_revocation() external {
        Grant memory g = grantOf(0, 0, 0);
        bytes memory sig = signature(USER_KEY, hashOf(g));
        revoke(child, parent);
        expectStale(1, 0);
        send(g, sig);
    }

    function test_older_laxer_signed_grant_does_not_undo_a_newer_one() external {
        Grant memory lax = grantOf(0, 0, 0);
        bytes memory laxSig = signature(USER_KEY, hashOf(lax));
        sendSigned(grantOf(NOW + 60, 5, 0));
        vm.expectRevert(
            abi.encodeWithSelector(IDataTokenRegistry.GrantNotTighter.selector, parent, child)
        );
        send(lax, laxSig);
    }

    function test_tightening_by_signature_bumps_the_counter_and_keeps_the_epoch() external {
        sendSigned(grantOf(0, 0, 0));
        uint256 before = tokens.counter();
        sendSigned(grantOf(NOW + 60, 0, 0));
        sendSigned(grantOf(NOW + 60, 5, 0));
        assertEq(tokens.counter(), before + 2);
        assertEq(wordOf(child, parent), GrantWord.pack(NOW + 60, 5, 0, 0));
        vm.expectRevert(
            abi.encodeWithSelector(IDataTokenRegistry.GrantNotTighter.selector, parent, child)
        );
        sendSigned(grantOf(NOW + 30, 6, 0));
    }

    function test_terms_of_a_signed_grant_are_checked_too() external {
        Grant memory g = grantOf(NOW, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IDataTokenRegistry.ExpiryPassed.selector, NOW));
        sendSigned(g);
        g = grantOf(0, 0, 0);
        g.parent = "x";
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.UnknownToken.selector, g.parent));
        sendSigned(g);
        g = grantOf(0, 0, 0);
        g.child = "y";
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.UnknownToken.selector, g.child));
        sendSigned(g);
    }

    function testFuzz_a_relayer_cannot_change_a_signed_grant(uint256 field, uint256 value)
        external
    {
        Grant memory g = grantOf(NOW + 60, 5, 0);
        bytes memory sig = signature(USER_KEY, hashOf(g));
        field = bound(field, 0, 5);
        if (field == 0) g.child = leaf(user);
        if (field == 1) g.parent = leaf(bankA);
        if (field == 2) g.expiry = uint64(bound(value, NOW + 61, type(uint64).max));
        if (field == 3) g.maxRounds = uint32(bound(value, 6, type(uint32).max));
        if (field == 4) g.epoch = uint32(bound(value, 1, type(uint32).max));
        if (field == 5) g.deadline = uint64(bound(value, DEADLINE + 1, type(uint64).max));
        expectInvalid(user);
        send(g, sig);
    }

    /// @dev Acceptance: 41
    function test_only_the_owners_signature_grants() external {
        Grant memory g = grantOf(0, 0, 0);
        bytes memory sig = signature(OTHER_KEY, hashOf(g));
        expectInvalid(user);
        send(g, sig);
        expectInvalid(user);
        send(g, "");
    }

    // ---- revoke

    /// @dev Acceptance: 105
    function test_a_user_without_funds_revokes_through_a_relayer() external {
        grant(child, parent);
        uint256 before = tokens.counter();
        vm.expectEmit(true, true, true, true);
        emit IDataTokenRegistry.Revoked(child, parent, user, 1);
        sendRevoke(0, signature(USER_KEY, revokeHash(0, DEADLINE)));
        assertEq(isActive(child, parent), false);
        assertEq(tokens.counter(), before + 1);
    }

    function test_blocked_signed_revocation() external {
        Grant memory lax = grantOf(0, 0, 0);
        Grant memory tight = grantOf(NOW + 60, 5, 0);
        bytes memory revocation = signature(USER_KEY, revokeHash(0, DEADLINE));
        sendSigned(lax); // everything the user ever signed, in front of the revocation
        sendSigned(tight);
        sendRevoke(0, revocation);
        assertEq(isActive(child, parent), false);
    }

    function test_replayed_signed_revocation() external {
        bytes memory sig = signature(USER_KEY, revokeHash(0, DEADLINE));
        sendRevoke(0, sig);
        grant(child, parent);
        expectStale(1, 0);
        sendRevoke(0, sig);
        assertTrue(isActive(child, parent), "the new grant stands");
    }

    function test_only_the_owners_signature_revokes() external {
        bytes memory sig = signature(OTHER_KEY, revokeHash(0, DEADLINE));
        expectInvalid(user);
        sendRevoke(0, sig);
    }

    function test_an_expired_grant_is_renewed_by_two_signatures() external {
        sendSigned(grantOf(NOW + 60, 5, 0));
        bytes memory revocation = signature(USER_KEY, revokeHash(0, DEADLINE));
        Grant memory renewal = grantOf(NOW + 600, 5, 1);
        bytes memory sig = signature(USER_KEY, hashOf(renewal));
        vm.warp(NOW + 60);
        sendRevoke(0, revocation);
        send(renewal, sig);
        assertTrue(wordOf(child, parent).allowsAt(NOW + 60), "renewed");
    }

    // ---- all three

    function test_a_signature_ends_at_its_deadline() external {
        Mint memory m = mintOf(user);
        Grant memory g = grantOf(0, 0, 0);
        bytes memory mintSig = signature(USER_KEY, hashOf(m));
        bytes memory grantSig = signature(USER_KEY, hashOf(g));
        bytes memory revokeSig = signature(USER_KEY, revokeHash(0, DEADLINE));
        vm.warp(DEADLINE);
        bytes memory refusal =
            abi.encodeWithSelector(IDataTokenRegistry.SignatureExpired.selector, DEADLINE);
        vm.expectRevert(refusal);
        send(m, mintSig);
        vm.expectRevert(refusal);
        send(g, grantSig);
        vm.expectRevert(refusal);
        sendRevoke(0, revokeSig);
        vm.warp(DEADLINE - 1);
        send(g, grantSig);
    }

    function test_a_signature_for_another_chain_or_registry() external {
        Grant memory g = grantOf(0, 0, 0);
        bytes memory sig = signature(USER_KEY, hashOf(g));
        vm.chainId(20250407);
        expectInvalid(user);
        send(g, sig);
        vm.chainId(31337);
        DataTokenRegistry mine = tokens;
        tokens = new DataTokenRegistry(institutions);
        bytes memory elsewhere = signature(USER_KEY, hashOf(g));
        tokens = mine;
        expectInvalid(user);
        send(g, elsewhere);
    }

    function test_a_wallet_contract_signs_by_erc1271() external {
        Mint memory m = mintOf(address(0));
        // The wallet's address is part of what it signs, so it is put in place afterwards.
        address place = vm.addr(99);
        m.owner = place;
        Wallet wallet = new Wallet(digestOf(hashOf(m)));
        vm.etch(place, address(wallet).code);
        enrol(bankA, place);
        bytes32 dt = send(m, "anything");
        assertEq(tokens.token(dt).owner, place);
        m.salt = 4;
        expectInvalid(place);
        send(m, "anything");
    }
}
