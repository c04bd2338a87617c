// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLog} from "./interfaces/IRoundLog.sol";

/// @title The rounds of a job
contract RoundLog is IRoundLog {
    uint256 private constant ROUND_SHIFT = 224;

    // {bytes28 head | uint32 round}, the head in the low bits.
    mapping(bytes32 job => mapping(address sender => uint256 word)) private _heads;

    /// @inheritdoc IRoundLog
    function append(bytes32 job, bytes28 previous, bytes32 document)
        external
        returns (bytes28 head_, uint32 round)
    {
        mapping(address => uint256) storage chains = _heads[job];
        (head_, round) = _unpack(chains[msg.sender]);
        if (head_ != previous) revert StaleHead(head_, previous);
        head_ =
            bytes28(keccak256(abi.encode(block.chainid, address(this), job, previous, document)));
        ++round;
        chains[msg.sender] = (uint256(round) << ROUND_SHIFT) | uint224(head_);
        emit RoundLogged(job, msg.sender, round, head_, document);
    }

    /// @inheritdoc IRoundLog
    function head(bytes32 job, address sender)
        external
        view
        returns (bytes28 head_, uint32 round)
    {
        return _unpack(_heads[job][sender]);
    }

    function _unpack(uint256 word) private pure returns (bytes28 head_, uint32 round) {
        return (bytes28(uint224(word)), uint32(word >> ROUND_SHIFT));
    }
}
