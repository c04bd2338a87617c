// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Errors that several contracts raise
interface ISharedErrors {
    /// @notice The account is neither an active institution nor a user enrolled by one.
    error NotParticipant(address account);
    /// @notice The caller is not an active institution.
    error NotInstitution(address caller);
    /// @notice An account that must be given is the zero address.
    error ZeroAddress();
    /// @notice A digest that must be given is zero.
    error ZeroDigest();
    /// @notice A name is empty or longer than `max` bytes.
    error NameLength(uint256 length, uint256 max);
    /// @notice A list is longer than `max`; split it.
    error BatchTooLarge(uint256 length, uint256 max);
    /// @notice Two lists that belong together differ in length.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice No data token has this id.
    error UnknownToken(bytes32 dt);
}
