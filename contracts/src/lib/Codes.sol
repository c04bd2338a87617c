// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Kinds of a data token
library TokenKind {
    uint8 internal constant DATA = 1;
    uint8 internal constant COMPUTE = 2;
    uint8 internal constant ALGORITHM = 3;
}

/// @title Kinds of a trusted operation
library OperationKind {
    uint8 internal constant CLIENT = 1;
    uint8 internal constant SERVER = 2;
    uint8 internal constant APP = 3;
    uint8 internal constant MPC = 4;
}

/// @title Status of a task
library TaskStatus {
    uint8 internal constant NONE = 0;
    uint8 internal constant OPEN = 1;
    uint8 internal constant CLOSED = 2;
}

/// @title Status of a job
library JobStatus {
    uint8 internal constant NONE = 0;
    uint8 internal constant OPEN = 1;
    uint8 internal constant PAUSED = 2;
    uint8 internal constant CLOSED = 3;
}
