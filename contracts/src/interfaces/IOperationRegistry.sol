// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISharedErrors} from "./ISharedErrors.sol";

/// @title Trusted operations: code by its digest, immutable
/// @notice New code is a new operation. The administrator can retire one, never change it.
interface IOperationRegistry is ISharedErrors {
    /// @param bundle sha256 of the exact bytes of the bundle
    /// @param metadata sha256 of the operation's document (JCS JSON) in the store
    /// @param publisher the administrator that registered it
    /// @param kind 1 client, 2 server, 3 app, 4 mpc
    /// @param retired whether it may no longer run
    /// @param registeredAt seconds
    struct Operation {
        bytes32 bundle;
        bytes32 metadata;
        address publisher;
        uint8 kind;
        bool retired;
        uint64 registeredAt;
    }

    event OperationRegistered(
        bytes32 indexed id,
        bytes32 indexed bundle,
        address indexed publisher,
        bytes32 metadata,
        uint8 kind,
        string name,
        string entryPoint
    );
    event OperationRetired(bytes32 indexed id);

    /// @notice The same bundle with the same document is registered already.
    error OperationExists(bytes32 id);
    /// @notice No operation has this id.
    error UnknownOperation(bytes32 id);
    /// @notice The operation is retired already.
    error OperationAlreadyRetired(bytes32 id);
    /// @notice An operation's kind is 1 to 4.
    error InvalidOperationKind(uint8 kind);

    /// @notice Registers an operation. Its name and entry point are in the event and the document.
    /// @return id keccak256(abi.encode(chain id, this contract, bundle, metadata))
    function register(
        bytes32 bundle,
        bytes32 metadata,
        uint8 kind,
        string calldata name,
        string calldata entryPoint
    ) external returns (bytes32 id);

    /// @notice Retires an operation for good.
    function retire(bytes32 id) external;

    /// @return the operation, all zero when unknown
    function operation(bytes32 id) external view returns (Operation memory);

    /// @return a number that every retirement increases
    function counter() external view returns (uint256);
}
