// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuthorizationView} from "./interfaces/IAuthorizationView.sol";
import {IDataTokenRegistry} from "./interfaces/IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "./interfaces/IInstitutionRegistry.sol";
import {IOperationRegistry} from "./interfaces/IOperationRegistry.sol";
import {IRoundLog} from "./interfaces/IRoundLog.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {TaskStatus} from "./lib/Codes.sol";
import {Limits} from "./lib/Limits.sol";
import {TimeUnit} from "./lib/TimeUnit.sol";

/// @title All that a gate needs, read at one block
contract AuthorizationView is IAuthorizationView {
    /// @inheritdoc IAuthorizationView
    IInstitutionRegistry public immutable institutions;
    /// @inheritdoc IAuthorizationView
    IOperationRegistry public immutable operations;
    /// @inheritdoc IAuthorizationView
    IDataTokenRegistry public immutable tokens;
    /// @inheritdoc IAuthorizationView
    ITaskMarket public immutable market;
    /// @inheritdoc IAuthorizationView
    IRoundLog public immutable log;

    constructor(
        IInstitutionRegistry institutions_,
        IOperationRegistry operations_,
        IDataTokenRegistry tokens_,
        ITaskMarket market_,
        IRoundLog log_
    ) {
        _checkSame(address(tokens_.institutions()), address(institutions_));
        _checkSame(address(market_.institutions()), address(institutions_));
        _checkSame(address(market_.tokens()), address(tokens_));
        if (address(operations_).code.length == 0) revert WiringMismatch();
        if (address(log_).code.length == 0) revert WiringMismatch();
        institutions = institutions_;
        operations = operations_;
        tokens = tokens_;
        market = market_;
        log = log_;
    }

    /// @inheritdoc IAuthorizationView
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
        )
    {
        ITaskMarket.Job memory found = market.job(job);
        counter = _counter();
        status = found.status;
        (head, round) = log.head(job, found.recorder);
        blockNumber = block.number;
        time = TimeUnit.nowSeconds();
    }

    /// @inheritdoc IAuthorizationView
    function snapshot(
        bytes32 job,
        bytes32[] calldata dts,
        bytes32[] calldata parents,
        bytes32[] calldata operations_
    ) external view returns (Snapshot memory found) {
        if (dts.length != parents.length) revert LengthMismatch(dts.length, parents.length);
        if (operations_.length > Limits.READ) {
            revert BatchTooLarge(operations_.length, Limits.READ);
        }
        found.chainId = block.chainid;
        found.blockNumber = block.number;
        found.time = TimeUnit.nowSeconds();
        found.counter = _counter();
        found.job = _job(job);
        (found.head, found.round) = log.head(job, found.job.recorder);
        found.tokens = _tokens(dts);
        found.grants = _grants(dts, parents);
        found.announcements = _announcements(job, dts);
        found.operations = _operations(operations_);
    }

    function _checkSame(address found, address expected) private pure {
        if (found != expected) revert WiringMismatch();
    }

    function _counter() private view returns (uint256) {
        return institutions.counter() + operations.counter() + tokens.counter() + market.counter();
    }

    function _job(bytes32 id) private view returns (JobView memory) {
        ITaskMarket.Job memory found = market.job(id);
        return JobView({
            status: found.status,
            task: found.task,
            taskOpen: market.task(found.task).status == TaskStatus.OPEN,
            guarantor: found.guarantor,
            guarantorRegistered: institutions.isInstitution(found.guarantor),
            recorder: found.recorder,
            postedAt: found.postedAt,
            algorithm: found.algorithm
        });
    }

    function _tokens(bytes32[] calldata dts) private view returns (TokenView[] memory views) {
        IDataTokenRegistry.Record[] memory records = tokens.tokens(dts);
        views = new TokenView[](dts.length);
        for (uint256 i = 0; i < dts.length; ++i) {
            IDataTokenRegistry.Record memory record = records[i];
            TokenView memory seen = views[i];
            seen.owner = record.owner;
            seen.kind = record.kind;
            seen.children = record.children;
            seen.mintedAt = record.mintedAt;
            seen.salt = record.salt;
            seen.proof = record.proof;
            seen.ddo = record.ddo;
            seen.ownerActive = institutions.isParticipant(record.owner);
        }
    }

    /// @dev No token has the id 0, so a parent of 0 gives the word 0.
    function _grants(bytes32[] calldata dts, bytes32[] calldata parents)
        private
        view
        returns (uint256[] memory)
    {
        return tokens.grantWords(parents, dts);
    }

    function _announcements(bytes32 job, bytes32[] calldata dts)
        private
        view
        returns (bytes32[] memory found)
    {
        found = new bytes32[](dts.length);
        for (uint256 i = 0; i < dts.length; ++i) {
            found[i] = market.announcements(job, dts[i]);
        }
    }

    function _operations(bytes32[] calldata ids)
        private
        view
        returns (OperationView[] memory views)
    {
        views = new OperationView[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            IOperationRegistry.Operation memory found = operations.operation(ids[i]);
            views[i] = OperationView(
                found.bundle, found.metadata, found.publisher, found.kind, found.retired
            );
        }
    }
}
