// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataTokenRegistry} from "../src/DataTokenRegistry.sol";
import {IDataTokenRegistry} from "../src/interfaces/IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "../src/interfaces/IInstitutionRegistry.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {Fixture} from "./utils/Fixture.sol";

contract MintTest is Fixture {
    bytes32 private constant PROOF = keccak256("proof");
    bytes32 private constant DDO = keccak256("ddo");

    function idOf(address owner, bytes32 proof, bytes32 childrenHash, uint32 salt)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(block.chainid, address(tokens), owner, proof, childrenHash, salt)
        );
    }

    function mintPlain(address owner) private returns (bytes32) {
        vm.prank(owner);
        return tokens.mint(DATA, PROOF, DDO, 0, 0, 0);
    }

    /// @dev Acceptance: 11, 12, 18, 40, 70, 92
    function test_a_leaf_has_a_record_that_leads_to_its_ddo() external {
        vm.expectEmit(true, true, true, true);
        emit IDataTokenRegistry.TokenMinted(
            idOf(user, PROOF, 0, 0), user, DDO, DATA, PROOF, 0, 0
        );
        bytes32 dt = mintPlain(user);
        assertEq(dt, idOf(user, PROOF, 0, 0));
        assertEq(dt, tokens.dtOf(user, PROOF, 0, 0));
        IDataTokenRegistry.Record memory found = tokens.token(dt);
        assertEq(found.owner, user);
        assertEq(found.kind, DATA);
        assertEq(found.children, 0);
        assertEq(found.mintedAt, NOW);
        assertEq(found.salt, 0);
        assertEq(found.proof, PROOF);
        assertEq(found.ddo, DDO);
    }

    /// @dev Acceptance: 13, 14
    function test_a_composite_fixes_its_children_in_its_id() external {
        bytes32 childrenHash = hashOf(list(leaf(user), leaf(other)));
        vm.prank(bankA);
        bytes32 dt = tokens.mint(ALGORITHM, PROOF, DDO, childrenHash, 2, 9);
        assertEq(dt, idOf(bankA, PROOF, childrenHash, 9));
        (address owner, uint8 kind, uint16 children) = tokens.summary(dt);
        assertEq(owner, bankA);
        assertEq(kind, ALGORITHM);
        assertEq(children, 2);
    }

    /// @dev Acceptance: 39, 69
    function test_an_unregistered_user_cannot_publish() external {
        bytes memory refusal =
            abi.encodeWithSelector(ISharedErrors.NotParticipant.selector, stranger);
        vm.prank(stranger);
        vm.expectRevert(refusal);
        tokens.mint(DATA, PROOF, DDO, 0, 0, 0);
        vm.prank(admin);
        institutions.removeInstitution(bankA);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NotParticipant.selector, user));
        tokens.mint(DATA, PROOF, DDO, 0, 0, 0);
    }

    /// @dev Acceptance: 11
    function test_squatted_id() external {
        bytes32 wanted = tokens.dtOf(user, PROOF, 0, 0);
        bytes32 taken = mintPlain(other);
        assertTrue(taken != wanted, "another owner gets another id");
        assertEq(mintPlain(user), wanted);
    }

    function test_minted_once() external {
        bytes32 dt = mintPlain(user);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(IDataTokenRegistry.TokenExists.selector, dt));
        tokens.mint(COMPUTE, PROOF, fresh(), 0, 0, 0);
        vm.prank(user);
        bytes32 again = tokens.mint(DATA, PROOF, DDO, 0, 0, 1);
        assertTrue(again != dt, "salt makes a new id");
    }

    function test_malformed_records_are_refused() external {
        vm.prank(user);
        vm.expectRevert(ISharedErrors.ZeroDigest.selector);
        tokens.mint(DATA, 0, DDO, 0, 0, 0);
        vm.prank(user);
        vm.expectRevert(ISharedErrors.ZeroDigest.selector);
        tokens.mint(DATA, PROOF, 0, 0, 0, 0);
        expectInvalidChildren(1, 0);
        expectInvalidChildren(0, PROOF);
        expectInvalidChildren(1025, PROOF);
    }

    function expectInvalidChildren(uint16 children, bytes32 childrenHash) private {
        vm.prank(user);
        vm.expectRevert(
            abi.encodeWithSelector(
                IDataTokenRegistry.InvalidChildren.selector, children, childrenHash
            )
        );
        tokens.mint(DATA, PROOF, DDO, childrenHash, children, 0);
    }

    /// @dev Acceptance: 23
    function testFuzz_kinds(uint8 kind) external {
        bool valid = kind >= 1 && kind <= 3;
        if (!valid) {
            vm.expectRevert(
                abi.encodeWithSelector(IDataTokenRegistry.InvalidTokenKind.selector, kind)
            );
        }
        vm.prank(user);
        bytes32 dt = tokens.mint(kind, PROOF, DDO, 0, 0, 0);
        assertEq(tokens.token(dt).kind, valid ? kind : 0);
    }

    /// @dev Acceptance: 11
    function testFuzz_record_is_what_was_minted(
        bytes32 proof,
        bytes32 ddo,
        bytes32 childrenHash,
        uint16 children,
        uint32 salt,
        uint40 time
    ) external {
        vm.assume(proof != 0 && ddo != 0 && childrenHash != 0);
        children = uint16(bound(children, 1, 1024));
        time = uint40(bound(time, 1, 1e11));
        vm.warp(time);
        vm.prank(user);
        bytes32 dt = tokens.mint(COMPUTE, proof, ddo, childrenHash, children, salt);
        assertEq(dt, idOf(user, proof, childrenHash, salt));
        IDataTokenRegistry.Record memory found = tokens.token(dt);
        assertEq(found.owner, user);
        assertEq(found.kind, COMPUTE);
        assertEq(found.children, children);
        assertEq(found.salt, salt);
        assertEq(found.mintedAt, time);
        assertEq(found.proof, proof);
        assertEq(found.ddo, ddo);
    }

    function test_the_same_asset_on_another_chain_or_registry_has_another_id() external {
        bytes32 here = tokens.dtOf(user, PROOF, 0, 0);
        DataTokenRegistry second = new DataTokenRegistry(institutions);
        assertTrue(second.dtOf(user, PROOF, 0, 0) != here, "other registry");
        vm.chainId(20250407);
        assertTrue(tokens.dtOf(user, PROOF, 0, 0) != here, "other chain");
    }

    function test_registry_of_institutions_must_be_given() external {
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        new DataTokenRegistry(IInstitutionRegistry(address(0)));
    }

    /// @dev Acceptance: 40
    function test_bulk_look_up_is_bounded_and_gives_zeros_for_unknown_ids() external {
        bytes32 dt = mintPlain(user);
        IDataTokenRegistry.Record[] memory found = tokens.tokens(list(dt, "unknown"));
        assertEq(found[0].owner, user);
        assertEq(found[1].owner, address(0));
        assertEq(found[1].ddo, 0);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.BatchTooLarge.selector, 8193, 8192));
        tokens.tokens(new bytes32[](8193));
    }
}
