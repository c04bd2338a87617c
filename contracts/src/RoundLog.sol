// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLog} from "./interfaces/IRoundLog.sol";

/// @title The rounds of a job
contract RoundLog is IRoundLog {
    mapping(bytes32 job => mapping(address sender => Head)) private _heads;

    /// @inheritdoc IRoundLog
    function append(bytes32 job, bytes28 previous, bytes32 document)
        external
        returns (bytes28 head_, uint32 round)
    {
        Head memory old = _heads[job][msg.sender];
        if (old.head != previous) revert StaleHead(old.head, previous);
        head_ =
            bytes28(keccak256(abi.encode(block.chainid, address(this), job, previous, document)));
        round = old.round + 1;
        _heads[job][msg.sender] = Head(head_, round);
        emit RoundLogged(job, msg.sender, round, head_, document);
    }

    /// @inheritdoc IRoundLog
    function head(bytes32 job, address sender)
        external
        view
        returns (bytes28 head_, uint32 round)
    {
        Head memory found = _heads[job][sender];
        return (found.head, found.round);
    }
}
