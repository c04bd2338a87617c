// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "../interfaces/IDataTokenRegistry.sol";
import {GrantWord} from "../lib/GrantWord.sol";
import {Limits} from "../lib/Limits.sol";
import {RecordHead} from "../lib/RecordHead.sol";
import {TimeUnit} from "../lib/TimeUnit.sol";
import {Grants} from "./Grants.sol";

/// @title Walking everything below a data token
/// @notice A leaf costs one storage read, its grant; a composite two more, for its children's hash.
abstract contract Closure is Grants {
    using GrantWord for uint256;

    /// @inheritdoc IDataTokenRegistry
    function checkClosure(bytes32 top, bytes32[] calldata below) external view {
        if (below.length > Limits.CLOSURE) revert ClosureExceeded(below.length, Limits.CLOSURE);
        uint256 head = _records[top].head;
        if (head == 0) revert UnknownToken(top);
        if (RecordHead.children(head) == 0) revert NoChildren(top);
        uint256 used = _walk(top, below, 0, 0, TimeUnit.nowSeconds());
        if (used != below.length) revert ClosureLeftover(used, below.length);
    }

    /// @dev Depth first; the recursion ends at Limits.DEPTH.
    /// @param start where the node's block begins in `below`
    /// @return end where it ends: behind its children, and behind the block of each composite child
    function _walk(
        bytes32 node,
        bytes32[] calldata below,
        uint256 start,
        uint256 depth,
        uint256 time
    ) private view returns (uint256 end) {
        if (depth == Limits.DEPTH) revert DepthExceeded(node, Limits.DEPTH);
        end = _checkChildren(node, below, start);
        uint256 stop = end;
        mapping(bytes32 => Slot) storage slots = _grants[node];
        for (uint256 i = start; i < stop; ++i) {
            bytes32 child = below[i];
            uint256 word = slots[child].word;
            if (!word.allowsAt(time)) _refuse(node, child, word);
            if (word.children() != 0) end = _walk(child, below, end, depth + 1, time);
        }
    }

    /// @dev Reverts unless the node's children stand at `start`, as the node's id fixes them.
    /// @return end where they end
    function _checkChildren(bytes32 node, bytes32[] calldata below, uint256 start)
        private
        view
        returns (uint256 end)
    {
        Stored storage record = _records[node];
        uint256 head = record.head;
        end = start + RecordHead.children(head);
        if (end > below.length) revert ChildrenMismatch(node);
        bytes32 hash = _hash(below, start, end);
        if (_id(RecordHead.owner(head), record.proof, hash, RecordHead.salt(head)) != node) {
            revert ChildrenMismatch(node);
        }
    }

    /// @return hash keccak256(abi.encodePacked(below[start:end])); the caller has checked the bounds
    function _hash(bytes32[] calldata below, uint256 start, uint256 end)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let size := shl(5, sub(end, start))
            let free := mload(0x40)
            calldatacopy(free, add(below.offset, shl(5, start)), size)
            hash := keccak256(free, size)
        }
    }

    function _refuse(bytes32 parent, bytes32 child, uint256 word) private pure {
        if (word.active()) revert GrantExpired(parent, child, word.expiry());
        if (word.epoch() == 0) revert MissingGrant(parent, child);
        revert GrantRevoked(parent, child);
    }
}
