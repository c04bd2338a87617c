// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "../src/interfaces/IDataTokenRegistry.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {GrantWord} from "../src/lib/GrantWord.sol";
import {Fixture} from "./utils/Fixture.sol";

contract GrantTest is Fixture {
    using GrantWord for uint256;

    bytes32 private child;
    bytes32 private parent;

    function setUp() public override {
        super.setUp();
        child = leaf(user);
        parent = mint(bankA, DATA, list(child));
    }

    function expectNotOwner(address caller) private {
        vm.expectRevert(
            abi.encodeWithSelector(IDataTokenRegistry.NotTokenOwner.selector, child, caller)
        );
        vm.prank(caller);
    }

    /// @dev Acceptance: 41, 92
    function test_the_childs_owner_grants() external {
        vm.expectEmit(true, true, true, true);
        emit IDataTokenRegistry.Granted(child, parent, user, NOW + 60, 5, 0);
        grant(child, parent, NOW + 60, 5);
        uint256 word = tokens.grantWord(parent, child);
        assertEq(word.expiry(), NOW + 60);
        assertEq(word.maxRounds(), 5);
        assertEq(word.epoch(), 0);
        assertEq(word.children(), 0);
        assertTrue(word.active(), "active");
        assertEq(word, uint256(NOW + 60) | (5 << 64) | (1 << 144));
    }

    /// @dev Acceptance: 41, 81
    function test_nobody_else_grants_or_revokes() external {
        expectNotOwner(bankA);
        tokens.grant(child, parent, 0, 0);
        expectNotOwner(other);
        tokens.grantMany(list(child), parent, 0, 0);
        expectNotOwner(bankA);
        tokens.revoke(child, parent);
        expectNotOwner(other);
        tokens.revokeMany(list(child), parent);
    }

    function test_unknown_tokens_are_not_granted() external {
        bytes memory refusal =
            abi.encodeWithSelector(ISharedErrors.UnknownToken.selector, bytes32("x"));
        vm.prank(user);
        vm.expectRevert(refusal);
        tokens.grant(child, "x", 0, 0);
        vm.prank(user);
        vm.expectRevert(refusal);
        tokens.grant("x", parent, 0, 0);
        vm.prank(user);
        vm.expectRevert(refusal);
        tokens.revoke("x", parent);
        vm.prank(relayer);
        vm.expectRevert(refusal);
        tokens.revokeBySig("x", parent, 0, NOW + 1, "");
    }

    function test_expiry_must_lie_ahead() external {
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(IDataTokenRegistry.ExpiryPassed.selector, NOW));
        tokens.grant(child, parent, NOW, 0);
        grant(child, parent, NOW + 1, 0);
    }

    function test_expiry_is_in_seconds_on_a_chain_that_counts_milliseconds() external {
        vm.warp(uint256(NOW) * 1000);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(IDataTokenRegistry.ExpiryPassed.selector, NOW));
        tokens.grant(child, parent, NOW, 0);
        grant(child, parent, NOW + 1, 0);
        bytes32 minted = leaf(user);
        assertEq(tokens.token(minted).mintedAt, NOW);
    }

    function test_revocation_moves_epoch_and_counter_and_keeps_the_terms_readable() external {
        grant(child, parent, NOW + 60, 5);
        uint256 before = tokens.counter();
        vm.expectEmit(true, true, true, true);
        emit IDataTokenRegistry.Revoked(child, parent, user, 1);
        revoke(child, parent);
        assertEq(wordOf(child, parent), uint256(NOW + 60) | (5 << 64) | (1 << 96));
        assertEq(tokens.counter(), before + 1);
    }

    function test_a_revocation_before_any_grant_moves_the_epoch() external {
        uint256 before = tokens.counter();
        revoke(child, parent);
        assertEq(wordOf(child, parent), 1 << 96);
        assertEq(tokens.counter(), before + 1);
        grant(child, parent);
        assertEq(epochOf(child, parent), 1);
        assertTrue(isActive(child, parent), "granted again");
    }

    function test_granting_again_moves_the_epoch() external {
        grant(child, parent);
        grant(child, parent);
        assertEq(epochOf(child, parent), 1);
    }

    /// A gate counts rounds under the epoch: it must hear of every grant that is replaced.
    function test_replacing_a_grant_bumps_the_counter_and_a_first_one_does_not() external {
        uint256 before = tokens.counter();
        grant(child, parent, 0, 0);
        assertEq(tokens.counter(), before);
        grant(child, parent, NOW + 90, 0);
        assertEq(tokens.counter(), before + 1);
        grant(child, parent, NOW + 90, 0);
        assertEq(tokens.counter(), before + 2);
        grant(child, parent, 0, 9);
        assertEq(tokens.counter(), before + 3);
        revoke(child, parent);
        assertEq(tokens.counter(), before + 4);
        grant(child, parent, 0, 9);
        assertEq(tokens.counter(), before + 4);
    }

    function test_many_are_granted_and_revoked_at_once() external {
        bytes32[] memory both = list(child, leaf(user));
        uint256 before = tokens.counter();
        vm.prank(user);
        tokens.grantMany(both, parent, NOW + 60, 5);
        assertTrue(isActive(both[0], parent) && isActive(both[1], parent), "both granted");
        assertEq(tokens.counter(), before);
        vm.prank(user);
        tokens.grantMany(both, parent, NOW + 60, 4);
        assertEq(tokens.counter(), before + 1);
        vm.prank(user);
        tokens.revokeMany(both, parent);
        assertTrue(!isActive(both[0], parent) && !isActive(both[1], parent), "both revoked");
        assertEq(tokens.counter(), before + 2);
    }

    function test_batches_are_bounded() external {
        bytes memory refusal =
            abi.encodeWithSelector(ISharedErrors.BatchTooLarge.selector, 1025, 1024);
        vm.prank(user);
        vm.expectRevert(refusal);
        tokens.grantMany(new bytes32[](1025), parent, 0, 0);
        vm.prank(user);
        vm.expectRevert(refusal);
        tokens.revokeMany(new bytes32[](1025), parent);
    }

    function test_bulk_read_pairs_parents_with_children() external {
        grant(child, parent, NOW + 60, 5);
        uint256[] memory words = tokens.grantWords(list(parent, child), list(child, parent));
        assertEq(words[0], wordOf(child, parent));
        assertEq(words[1], 0);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.LengthMismatch.selector, 1, 2));
        tokens.grantWords(list(parent), list(child, parent));
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.BatchTooLarge.selector, 8193, 8192));
        tokens.grantWords(new bytes32[](8193), new bytes32[](8193));
    }

    function test_the_word_caches_the_childs_number_of_children() external {
        bytes32 top = mint(bankB, ALGORITHM, list(parent));
        grant(parent, top);
        assertEq(wordOf(parent, top).children(), 1);
    }

    function testFuzz_word_keeps_every_field(
        uint64 expiry,
        uint32 maxRounds,
        uint32 epoch,
        uint16 children
    ) external pure {
        uint256 word = GrantWord.pack(expiry, maxRounds, epoch, children);
        assertEq(word.expiry(), expiry);
        assertEq(word.maxRounds(), maxRounds);
        assertEq(word.epoch(), epoch);
        assertEq(word.children(), children);
        assertTrue(word.active(), "active");
        if (epoch == type(uint32).max) return;
        uint256 next = word.revoked();
        assertEq(next.epoch(), epoch + 1);
        assertTrue(!next.active(), "revoked");
        assertEq(next.expiry(), expiry);
        assertEq(next.children(), children);
    }

    /// @dev Acceptance: 105
    function testFuzz_a_word_allows_until_its_expiry(uint64 expiry, uint64 time) external pure {
        uint256 word = GrantWord.pack(expiry, 0, 0, 0);
        assertEq(word.allowsAt(time), expiry == 0 || time < expiry);
        assertEq(word.revoked().allowsAt(time), false);
    }

    function testFuzz_tighter_is_a_strict_order_with_zero_on_top(uint64 a, uint64 b, uint64 c)
        external
        pure
    {
        assertEq(GrantWord.tighter(a, a), false);
        assertTrue(!(GrantWord.tighter(a, b) && GrantWord.tighter(b, a)), "asymmetric");
        assertTrue(a == b || GrantWord.tighter(a, b) || GrantWord.tighter(b, a), "total");
        if (GrantWord.tighter(a, b) && GrantWord.tighter(b, c)) {
            assertTrue(GrantWord.tighter(a, c), "transitive");
        }
        assertEq(GrantWord.tighter(0, a), false);
    }
}
