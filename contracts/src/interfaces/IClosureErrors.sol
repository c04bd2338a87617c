// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What can be wrong with the tree of data tokens below an algorithm
interface IClosureErrors {
    /// @notice `child` has never been granted to `parent`.
    error MissingGrant(bytes32 parent, bytes32 child);
    /// @notice The grant from `child` to `parent` has been revoked.
    error GrantRevoked(bytes32 parent, bytes32 child);
    /// @notice The grant from `child` to `parent` ended at `expiry` (seconds).
    error GrantExpired(bytes32 parent, bytes32 child, uint64 expiry);
    /// @notice The list given as the children of `dt` is not the one fixed in its id.
    error ChildrenMismatch(bytes32 dt);
    /// @notice The token at the top has no children, so there is nothing to run.
    error NoChildren(bytes32 dt);
    /// @notice `dt` is a composite at level `max`, where only leaves may be.
    error DepthExceeded(bytes32 dt, uint256 max);
    /// @notice The tree has more than `max` nodes below its top.
    error ClosureExceeded(uint256 length, uint256 max);
    /// @notice The flat list holds more nodes than the tree uses.
    error ClosureLeftover(uint256 used, uint256 given);
}
