// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The rounds of a job as a hash chain of one storage slot
/// @notice One transaction a round, whatever the number of clients. Anyone may append to a chain of
/// its own; readers take the chain of the job's recorder. The job's status does not matter here.
interface IRoundLog {
    event RoundLogged(
        bytes32 indexed job, address indexed sender, uint32 round, bytes28 head, bytes32 document
    );

    /// @notice The caller builds on another head than the stored one: a repeat, or a fork.
    error StaleHead(bytes28 stored, bytes28 given);

    /// @notice Appends a round's document to the caller's chain for this job.
    /// @param previous the stored head, 0 at first
    /// @param document digest of the round's document
    /// @return head the left-most 28 bytes of
    /// keccak256(abi.encode(chain id, this contract, job, previous, document))
    /// @return round 1, 2, …
    function append(bytes32 job, bytes28 previous, bytes32 document)
        external
        returns (bytes28 head, uint32 round);

    /// @return head the newest link of the sender's chain, 0 when there is none
    /// @return round the number of its links
    function head(bytes32 job, address sender) external view returns (bytes28 head, uint32 round);
}
