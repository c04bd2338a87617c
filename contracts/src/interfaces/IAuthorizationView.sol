// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "./IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "./IInstitutionRegistry.sol";
import {IOperationRegistry} from "./IOperationRegistry.sol";
import {IRoundLog} from "./IRoundLog.sol";
import {ISharedErrors} from "./ISharedErrors.sol";
import {ITaskMarket} from "./ITaskMarket.sol";

/// @title All that a gate needs, read at one block
/// @notice Holds no state. Unknown ids give zeros, never a revert.
interface IAuthorizationView is ISharedErrors {
    /// @param taskOpen whether the job's task is open
    /// @param guarantorRegistered whether the guarantor is an active institution now
    struct JobView {
        uint8 status;
        uint64 task;
        bool taskOpen;
        address guarantor;
        bool guarantorRegistered;
        address recorder;
        uint64 postedAt;
        bytes32 algorithm;
    }

    /// @param ownerActive whether the owner is a participant now
    struct TokenView {
        address owner;
        uint8 kind;
        uint16 children;
        uint40 mintedAt;
        uint32 salt;
        bytes32 proof;
        bytes32 ddo;
        bool ownerActive;
    }

    struct OperationView {
        bytes32 bundle;
        bytes32 metadata;
        address publisher;
        uint8 kind;
        bool retired;
    }

    /// @param time seconds
    /// @param counter sum of the four registries' counters
    /// @param head newest link of the recorder's round log
    /// @param grants words of the grants parents[i] → dts[i], 0 where parents[i] is 0
    /// @param announcements request announced for the job by the owner of dts[i]
    struct Snapshot {
        uint256 chainId;
        uint256 blockNumber;
        uint256 time;
        uint256 counter;
        JobView job;
        bytes28 head;
        uint32 round;
        TokenView[] tokens;
        uint256[] grants;
        bytes32[] announcements;
        OperationView[] operations;
    }

    /// @notice The contracts given do not refer to one another: a mixed deployment.
    error WiringMismatch();

    /// @notice The one read before a round: while `counter` stands still, no permission has shrunk.
    /// @return counter sum of the four registries' counters
    /// @return status the job's status
    /// @return head newest link of the recorder's round log
    /// @return round number of its links
    /// @return blockNumber the block of this read
    /// @return time its time in seconds
    function check(bytes32 job)
        external
        view
        returns (
            uint256 counter,
            uint8 status,
            bytes28 head,
            uint32 round,
            uint256 blockNumber,
            uint256 time
        );

    /// @notice Everything about a job and the positions (parents[i], dts[i]) in its tree.
    function snapshot(
        bytes32 job,
        bytes32[] calldata dts,
        bytes32[] calldata parents,
        bytes32[] calldata operations
    ) external view returns (Snapshot memory);

    /// @return the institutions that are read
    function institutions() external view returns (IInstitutionRegistry);

    /// @return the operations that are read
    function operations() external view returns (IOperationRegistry);

    /// @return the data tokens that are read
    function tokens() external view returns (IDataTokenRegistry);

    /// @return the market that is read
    function market() external view returns (ITaskMarket);

    /// @return the round log that is read
    function log() external view returns (IRoundLog);
}
