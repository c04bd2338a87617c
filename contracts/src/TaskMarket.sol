// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "./interfaces/IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "./interfaces/IInstitutionRegistry.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {JobStatus, TaskStatus, TokenKind} from "./lib/Codes.sol";
import {TimeUnit} from "./lib/TimeUnit.sol";

/// @title Tasks and jobs
/// @dev The registries called are trusted code, and every such call is a static one.
contract TaskMarket is ITaskMarket {
    /// @inheritdoc ITaskMarket
    IInstitutionRegistry public immutable institutions;
    /// @inheritdoc ITaskMarket
    IDataTokenRegistry public immutable tokens;

    // One slot, never zero.
    uint64 private _nextTask = 1;
    uint64 private _nextJob = 1;
    uint128 private _counter = 1;

    mapping(uint64 id => Task) private _tasks;
    mapping(bytes32 id => Job) private _jobs;

    /// @inheritdoc ITaskMarket
    mapping(bytes32 algorithm => mapping(address guarantor => bool)) public isNamed;
    /// @inheritdoc ITaskMarket
    mapping(bytes32 job => mapping(bytes32 composite => bytes32 request)) public announcements;

    modifier onlyTokenOwner(bytes32 dt) {
        address owner = _ownerOf(dt);
        if (owner != msg.sender) revert NotTokenOwner(dt, msg.sender);
        _;
    }

    constructor(IInstitutionRegistry institutions_, IDataTokenRegistry tokens_) {
        if (address(institutions_) == address(0)) revert ZeroAddress();
        if (address(tokens_) == address(0)) revert ZeroAddress();
        institutions = institutions_;
        tokens = tokens_;
    }

    /// @inheritdoc ITaskMarket
    function createTask(bytes32 description) external returns (uint64 id) {
        if (!institutions.isParticipant(msg.sender)) revert NotParticipant(msg.sender);
        id = _nextTask++;
        _tasks[id] = Task(msg.sender, TaskStatus.OPEN, TimeUnit.nowSeconds(), description);
        emit TaskCreated(id, msg.sender, description);
    }

    /// @inheritdoc ITaskMarket
    function closeTask(uint64 id) external {
        if (_openTask(id) != msg.sender) revert NotTaskOwner(id, msg.sender);
        _tasks[id].status = TaskStatus.CLOSED;
        ++_counter;
        emit TaskClosed(id, msg.sender);
    }

    /// @inheritdoc ITaskMarket
    function nameGuarantor(bytes32 algorithm, address guarantor, bool named)
        external
        onlyTokenOwner(algorithm)
    {
        if (guarantor == address(0)) revert ZeroAddress();
        isNamed[algorithm][guarantor] = named;
        emit GuarantorNamed(algorithm, guarantor, named);
    }

    /// @inheritdoc ITaskMarket
    function postJob(
        uint64 task_,
        bytes32 algorithm,
        address recorder,
        bytes32[] calldata below
    ) external returns (bytes32 id) {
        if (recorder == address(0)) revert ZeroAddress();
        _checkPoster(task_, algorithm);
        tokens.checkClosure(algorithm, below);
        id = keccak256(abi.encode(block.chainid, address(this), uint256(_nextJob++)));
        _jobs[id] = Job(
            msg.sender, task_, JobStatus.OPEN, recorder, TimeUnit.nowSeconds(), algorithm
        );
        emit JobPosted(id, algorithm, msg.sender, task_, recorder);
    }

    /// @inheritdoc ITaskMarket
    function announce(bytes32 id, bytes32 composite, bytes32 request)
        external
        onlyTokenOwner(composite)
    {
        uint8 status = _existing(id).status;
        if (status != JobStatus.OPEN) revert WrongJobStatus(id, status);
        bytes32 before = announcements[id][composite];
        announcements[id][composite] = request;
        if (before != 0 && before != request) ++_counter;
        emit JobAnnounced(id, composite, request);
    }

    /// @inheritdoc ITaskMarket
    function pause(bytes32 id) external {
        _change(id, JobStatus.OPEN, JobStatus.PAUSED);
        ++_counter;
        emit JobPaused(id, msg.sender);
    }

    /// @inheritdoc ITaskMarket
    function reopen(bytes32 id) external {
        _change(id, JobStatus.PAUSED, JobStatus.OPEN);
        emit JobReopened(id, msg.sender);
    }

    /// @inheritdoc ITaskMarket
    function close(bytes32 id) external {
        Job storage found = _existing(id);
        if (msg.sender != found.guarantor && msg.sender != _ownerOf(found.algorithm)) {
            revert NotJobParty(id, msg.sender);
        }
        if (found.status == JobStatus.CLOSED) revert WrongJobStatus(id, JobStatus.CLOSED);
        found.status = JobStatus.CLOSED;
        ++_counter;
        emit JobClosed(id, msg.sender);
    }

    /// @inheritdoc ITaskMarket
    function task(uint64 id) external view returns (Task memory) {
        return _tasks[id];
    }

    /// @inheritdoc ITaskMarket
    function job(bytes32 id) external view returns (Job memory) {
        return _jobs[id];
    }

    /// @inheritdoc ITaskMarket
    function counter() external view returns (uint256) {
        return _counter;
    }

    /// @dev Who may post: an institution that is the algorithm's owner or named by it, for an open
    /// task of either.
    function _checkPoster(uint64 task_, bytes32 algorithm) private view {
        if (!institutions.isInstitution(msg.sender)) revert NotInstitution(msg.sender);
        (address owner, uint8 kind,) = tokens.summary(algorithm);
        if (owner == address(0)) revert UnknownToken(algorithm);
        if (kind != TokenKind.ALGORITHM) revert NotAlgorithm(algorithm, kind);
        if (msg.sender != owner && !isNamed[algorithm][msg.sender]) {
            revert NotGuarantor(algorithm, msg.sender);
        }
        address taskOwner = _openTask(task_);
        if (taskOwner != msg.sender && taskOwner != owner) {
            revert NotTaskOwner(task_, msg.sender);
        }
    }

    function _change(bytes32 id, uint8 from, uint8 to) private {
        Job storage found = _existing(id);
        if (msg.sender != found.guarantor) revert NotJobParty(id, msg.sender);
        if (found.status != from) revert WrongJobStatus(id, found.status);
        found.status = to;
    }

    function _existing(bytes32 id) private view returns (Job storage found) {
        found = _jobs[id];
        if (found.status == JobStatus.NONE) revert UnknownJob(id);
    }

    function _openTask(uint64 id) private view returns (address) {
        Task storage found = _tasks[id];
        if (found.status != TaskStatus.OPEN) revert TaskNotOpen(id);
        return found.owner;
    }

    function _ownerOf(bytes32 dt) private view returns (address owner) {
        (owner,,) = tokens.summary(dt);
        if (owner == address(0)) revert UnknownToken(dt);
    }
}
