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
        head_ = _link(job, previous, document);
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

    /// @return link the left-most bytes of
    /// keccak256(abi.encode(block.chainid, address(this), job, previous, document))
    function _link(bytes32 job, bytes28 previous, bytes32 document)
        private
        view
        returns (bytes28 link)
    {
        bytes32 hash;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, chainid())
            mstore(add(free, 0x20), address())
            mstore(add(free, 0x40), job)
            mstore(add(free, 0x60), previous)
            mstore(add(free, 0x80), document)
            hash := keccak256(free, 0xa0)
        }
        return bytes28(hash);
    }

    function _unpack(uint256 word) private pure returns (bytes28 head_, uint32 round) {
        return (bytes28(uint224(word)), uint32(word >> ROUND_SHIFT));
    }
}
