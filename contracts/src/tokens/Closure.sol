// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "../interfaces/IDataTokenRegistry.sol";
import {GrantWord} from "../lib/GrantWord.sol";
import {Limits} from "../lib/Limits.sol";
import {TimeUnit} from "../lib/TimeUnit.sol";
import {Grants} from "./Grants.sol";

/// @title Walking everything below a data token
/// @notice A leaf costs one storage read, its grant; a composite two more, for its children's hash.
abstract contract Closure is Grants {
    using GrantWord for uint256;

    /// @inheritdoc IDataTokenRegistry
    function checkClosure(bytes32 top, bytes32[] calldata below) external view {
        if (below.length > Limits.CLOSURE) revert ClosureExceeded(below.length, Limits.CLOSURE);
        if (_records[top].owner == address(0)) revert UnknownToken(top);
        if (_records[top].children == 0) revert NoChildren(top);
        uint256 used = _walk(top, below, 0, 0);
        if (used != below.length) revert ClosureLeftover(used, below.length);
    }

    /// @dev Depth first; the recursion ends at Limits.DEPTH.
    /// @param cursor where the node's block begins in `below`
    /// @return where the next block begins
    function _walk(bytes32 node, bytes32[] calldata below, uint256 cursor, uint256 depth)
        private
        view
        returns (uint256)
    {
        if (depth == Limits.DEPTH) revert DepthExceeded(node, Limits.DEPTH);
        bytes32[] calldata children = _children(node, below, cursor);
        cursor += children.length;
        (bytes32[] memory composites, uint256 count) = _checkEdges(node, children);
        for (uint256 i = 0; i < count; ++i) {
            cursor = _walk(composites[i], below, cursor, depth + 1);
        }
        return cursor;
    }

    /// @dev The node's children as its id fixes them, cut out of the flat list.
    function _children(bytes32 node, bytes32[] calldata below, uint256 cursor)
        private
        view
        returns (bytes32[] calldata children)
    {
        Record storage record = _records[node];
        uint256 end = cursor + record.children;
        if (end > below.length) revert ChildrenMismatch(node);
        children = below[cursor:end];
        bytes32 hash = keccak256(abi.encodePacked(children));
        if (dtOf(record.owner, record.proof, hash, record.salt) != node) {
            revert ChildrenMismatch(node);
        }
    }

    /// @return composites those of the children that have children, in order
    /// @return count how many they are
    function _checkEdges(bytes32 parent, bytes32[] calldata children)
        private
        view
        returns (bytes32[] memory composites, uint256 count)
    {
        mapping(bytes32 => uint256) storage words = _grants[parent];
        composites = new bytes32[](children.length);
        for (uint256 i = 0; i < children.length; ++i) {
            bytes32 child = children[i];
            uint256 word = words[child];
            if (!word.active()) _refuse(parent, child, word);
            if (TimeUnit.passed(word.expiry())) {
                revert GrantExpired(parent, child, word.expiry());
            }
            if (word.children() != 0) composites[count++] = child;
        }
    }

    function _refuse(bytes32 parent, bytes32 child, uint256 word) private pure {
        if (word.epoch() == 0) revert MissingGrant(parent, child);
        revert GrantRevoked(parent, child);
    }
}
