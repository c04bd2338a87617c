// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IOperationRegistry} from "./interfaces/IOperationRegistry.sol";
import {OperationKind} from "./lib/Codes.sol";
import {Limits} from "./lib/Limits.sol";
import {TimeUnit} from "./lib/TimeUnit.sol";

/// @title Trusted operations
contract OperationRegistry is IOperationRegistry, Ownable2Step {
    mapping(bytes32 id => Operation) private _operations;

    /// @inheritdoc IOperationRegistry
    uint256 public counter = 1;

    constructor() Ownable(msg.sender) {}

    /// @inheritdoc IOperationRegistry
    function register(
        bytes32 bundle,
        bytes32 metadata,
        uint8 kind,
        string calldata name,
        string calldata entryPoint
    ) external onlyOwner returns (bytes32 id) {
        if (bundle == 0 || metadata == 0) revert ZeroDigest();
        if (kind < OperationKind.CLIENT || kind > OperationKind.MPC) {
            revert InvalidOperationKind(kind);
        }
        uint256 length = bytes(name).length;
        if (length == 0 || length > Limits.NAME) revert NameLength(length, Limits.NAME);
        id = keccak256(abi.encode(block.chainid, address(this), bundle, metadata));
        if (_operations[id].registeredAt != 0) revert OperationExists(id);
        _operations[id] =
            Operation(bundle, metadata, msg.sender, kind, false, TimeUnit.nowSeconds());
        emit OperationRegistered(id, bundle, msg.sender, metadata, kind, name, entryPoint);
    }

    /// @inheritdoc IOperationRegistry
    function retire(bytes32 id) external onlyOwner {
        Operation storage found = _operations[id];
        if (found.registeredAt == 0) revert UnknownOperation(id);
        if (found.retired) revert OperationAlreadyRetired(id);
        found.retired = true;
        ++counter;
        emit OperationRetired(id);
    }

    /// @inheritdoc IOperationRegistry
    function operation(bytes32 id) external view returns (Operation memory) {
        return _operations[id];
    }
}
