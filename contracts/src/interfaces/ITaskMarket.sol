// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IClosureErrors} from "./IClosureErrors.sol";
import {IDataTokenRegistry} from "./IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "./IInstitutionRegistry.sol";
import {ISharedErrors} from "./ISharedErrors.sol";

/// @title Tasks, and the jobs that a trusted institution posts and so vouches for
/// @notice A job is an algorithm's data token, posted: possible only while everything below the
/// algorithm is granted, level by level.
interface ITaskMarket is ISharedErrors, IClosureErrors {
    /// @param status 0 none, 1 open, 2 closed
    /// @param createdAt seconds
    /// @param description sha256 of a document in the store, or 0
    struct Task {
        address owner;
        uint8 status;
        uint64 createdAt;
        bytes32 description;
    }

    /// @param guarantor the institution that posted it
    /// @param status 0 none, 1 open, 2 paused, 3 closed
    /// @param recorder whose round log counts
    /// @param postedAt seconds
    struct Job {
        address guarantor;
        uint64 task;
        uint8 status;
        address recorder;
        uint64 postedAt;
        bytes32 algorithm;
    }

    event TaskCreated(uint64 indexed id, address indexed owner, bytes32 description);
    event TaskClosed(uint64 indexed id, address indexed owner);
    event GuarantorNamed(bytes32 indexed algorithm, address indexed guarantor, bool named);
    event JobPosted(
        bytes32 indexed job,
        bytes32 indexed algorithm,
        address indexed guarantor,
        uint64 task,
        address recorder
    );
    event JobAnnounced(bytes32 indexed job, bytes32 indexed composite, bytes32 request);
    event JobPaused(bytes32 indexed job, address indexed by);
    event JobReopened(bytes32 indexed job, address indexed by);
    event JobClosed(bytes32 indexed job, address indexed by);

    /// @notice The task does not exist or is closed.
    error TaskNotOpen(uint64 task);
    /// @notice The caller may not use or close this task.
    error NotTaskOwner(uint64 task, address caller);
    /// @notice Only the token's owner may do this.
    error NotTokenOwner(bytes32 dt, address caller);
    /// @notice Only an algorithm (kind 3) is posted.
    error NotAlgorithm(bytes32 dt, uint8 kind);
    /// @notice The caller is neither the algorithm's owner nor a guarantor that the owner has named.
    error NotGuarantor(bytes32 algorithm, address caller);
    /// @notice No job has this id.
    error UnknownJob(bytes32 job);
    /// @notice The caller may not do this to the job.
    error NotJobParty(bytes32 job, address caller);
    /// @notice The job's status does not allow this.
    error WrongJobStatus(bytes32 job, uint8 status);

    /// @notice Opens a task of the caller, who must be a participant.
    /// @return id 1, 2, …
    function createTask(bytes32 description) external returns (uint64 id);

    /// @notice Closes a task of the caller for good: its jobs may no longer run.
    function closeTask(uint64 id) external;

    /// @notice The algorithm's owner says whether `guarantor` may post it.
    function nameGuarantor(bytes32 algorithm, address guarantor, bool named) external;

    /// @notice Posts an algorithm as a job; the calling institution becomes its guarantor.
    /// @param below everything below the algorithm, as in {IDataTokenRegistry-checkClosure}
    /// @return job keccak256(abi.encode(chain id, this contract, job number))
    function postJob(uint64 task, bytes32 algorithm, address recorder, bytes32[] calldata below)
        external
        returns (bytes32 job);

    /// @notice The composite's owner announces a run of an open job to everyone below.
    /// @param request digest of the signed compute request; replaces the one before; 0 withdraws it
    function announce(bytes32 job, bytes32 composite, bytes32 request) external;

    /// @notice The guarantor pauses an open job.
    function pause(bytes32 job) external;

    /// @notice The guarantor reopens a paused job.
    function reopen(bytes32 job) external;

    /// @notice The guarantor or the algorithm's owner closes a job for good.
    function close(bytes32 job) external;

    /// @return the task, all zero when unknown
    function task(uint64 id) external view returns (Task memory);

    /// @return the job, all zero when unknown
    function job(bytes32 id) external view returns (Job memory);

    /// @return whether the algorithm's owner has named this guarantor
    function isNamed(bytes32 algorithm, address guarantor) external view returns (bool);

    /// @return request the digest last announced by the composite's owner, or 0
    function announcements(bytes32 job, bytes32 composite) external view returns (bytes32 request);

    /// @return the registry that says who is an institution
    function institutions() external view returns (IInstitutionRegistry);

    /// @return the registry whose algorithms are posted
    function tokens() external view returns (IDataTokenRegistry);

    /// @return a number that every pause, close and replaced announcement increases
    function counter() external view returns (uint256);
}
