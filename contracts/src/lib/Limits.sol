// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bounds of every loop in these contracts
library Limits {
    /// @dev Children of one data token, and items of one bulk write.
    uint256 internal constant CHILDREN = 1024;
    /// @dev Levels below the algorithm, which itself is level 0.
    uint256 internal constant DEPTH = 8;
    /// @dev Nodes below the algorithm.
    uint256 internal constant CLOSURE = 4096;
    /// @dev Items of one bulk read: a whole closure with its top, and room for more.
    uint256 internal constant READ = 8192;
    /// @dev Bytes of a name kept in storage or in an event.
    uint256 internal constant NAME = 128;
}
