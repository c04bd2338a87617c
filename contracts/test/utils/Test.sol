// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The cheat codes of forge that these tests use.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function warp(uint256 time) external;
    function etch(address target, bytes calldata code) external;
    function roll(uint256 number) external;
    function chainId(uint256 id) external;
    function assume(bool condition) external pure;
    function expectRevert(bytes calldata data) external;
    function expectRevert(bytes4 selector) external;
    function expectRevert() external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data) external;
}

/// @dev Assertions: forge counts a test as failed when it reverts.
abstract contract Test {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error Different(bytes32 found, bytes32 expected);
    error Untrue(string what);

    function assertEq(bytes32 found, bytes32 expected) internal pure {
        if (found != expected) revert Different(found, expected);
    }

    function assertEq(uint256 found, uint256 expected) internal pure {
        assertEq(bytes32(found), bytes32(expected));
    }

    function assertEq(address found, address expected) internal pure {
        assertEq(bytes32(uint256(uint160(found))), bytes32(uint256(uint160(expected))));
    }

    function assertEq(bool found, bool expected) internal pure {
        assertEq(found ? 1 : 0, expected ? 1 : 0);
    }

    function assertEq(string memory found, string memory expected) internal pure {
        assertEq(keccak256(bytes(found)), keccak256(bytes(expected)));
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert Untrue(what);
    }

    /// @dev Folds a fuzzed value into [low, high].
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
