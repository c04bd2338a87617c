// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IOperationRegistry} from "../src/interfaces/IOperationRegistry.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {Fixture} from "./utils/Fixture.sol";

contract OperationRegistryTest is Fixture {
    bytes32 private constant BUNDLE = keccak256("bundle");
    bytes32 private constant METADATA = keccak256("metadata");

    function register() private returns (bytes32) {
        vm.prank(admin);
        return operations.register(BUNDLE, METADATA, 1, "EdgeComp", "edgecomp:client");
    }

    function idOf(bytes32 bundle, bytes32 metadata) private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(operations), bundle, metadata));
    }

    /// @dev Acceptance: 17, 38, 92
    function test_administrator_registers_code_by_its_digest() external {
        vm.expectEmit(true, true, true, true);
        emit IOperationRegistry.OperationRegistered(
            idOf(BUNDLE, METADATA), BUNDLE, admin, METADATA, 1, "EdgeComp", "edgecomp:client"
        );
        bytes32 id = register();
        assertEq(id, idOf(BUNDLE, METADATA));
        IOperationRegistry.Operation memory found = operations.operation(id);
        assertEq(found.bundle, BUNDLE);
        assertEq(found.metadata, METADATA);
        assertEq(found.publisher, admin);
        assertEq(found.kind, 1);
        assertEq(found.retired, false);
        assertEq(found.registeredAt, NOW);
    }

    /// @dev Acceptance: 17, 38
    function test_only_the_administrator_registers_and_retires() external {
        bytes32 id = register();
        bytes memory refusal =
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, bankA);
        vm.prank(bankA);
        vm.expectRevert(refusal);
        operations.register(BUNDLE, fresh(), 1, "Own", "own:client");
        vm.prank(bankA);
        vm.expectRevert(refusal);
        operations.retire(id);
    }

    function test_swapped_bundle_is_a_new_operation() external {
        bytes32 id = register();
        vm.prank(admin);
        bytes32 second = operations.register(fresh(), METADATA, 1, "EdgeComp", "edgecomp:client");
        assertTrue(second != id, "new id");
        assertEq(operations.operation(id).bundle, BUNDLE);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IOperationRegistry.OperationExists.selector, id));
        operations.register(BUNDLE, METADATA, 2, "EdgeComp", "another:client");
    }

    function test_retired_operation_stays_retired() external {
        bytes32 id = register();
        uint256 before = operations.counter();
        vm.expectEmit(true, true, true, true);
        emit IOperationRegistry.OperationRetired(id);
        vm.prank(admin);
        operations.retire(id);
        assertTrue(operations.operation(id).retired, "retired");
        assertEq(operations.counter(), before + 1);
        vm.prank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IOperationRegistry.OperationAlreadyRetired.selector, id)
        );
        operations.retire(id);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IOperationRegistry.OperationExists.selector, id));
        operations.register(BUNDLE, METADATA, 1, "EdgeComp", "edgecomp:client");
    }

    function test_unknown_operation() external {
        vm.prank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IOperationRegistry.UnknownOperation.selector, bytes32("x"))
        );
        operations.retire("x");
        assertEq(operations.operation("x").publisher, address(0));
    }

    function test_malformed_operations_are_refused() external {
        vm.prank(admin);
        vm.expectRevert(ISharedErrors.ZeroDigest.selector);
        operations.register(0, METADATA, 1, "n", "e");
        vm.prank(admin);
        vm.expectRevert(ISharedErrors.ZeroDigest.selector);
        operations.register(BUNDLE, 0, 1, "n", "e");
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NameLength.selector, 0, 128));
        operations.register(BUNDLE, METADATA, 1, "", "e");
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NameLength.selector, 200, 128));
        operations.register(BUNDLE, METADATA, 1, string(new bytes(200)), "e");
    }

    function testFuzz_kinds(uint8 kind) external {
        bool valid = kind >= 1 && kind <= 4;
        if (!valid) {
            vm.expectRevert(
                abi.encodeWithSelector(IOperationRegistry.InvalidOperationKind.selector, kind)
            );
        }
        vm.prank(admin);
        bytes32 id = operations.register(BUNDLE, METADATA, kind, "n", "e");
        assertEq(operations.operation(id).kind, valid ? kind : 0);
    }

    function testFuzz_id_binds_chain_and_contract(bytes32 bundle, bytes32 metadata, uint32 chain)
        external
    {
        vm.assume(bundle != 0 && metadata != 0 && chain != 0);
        vm.chainId(chain);
        vm.prank(admin);
        assertEq(operations.register(bundle, metadata, 4, "n", "e"), idOf(bundle, metadata));
    }
}
