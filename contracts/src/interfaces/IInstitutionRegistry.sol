// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISharedErrors} from "./ISharedErrors.sol";

/// @title Who takes part: institutions, and the users whom an institution enrols
/// @notice The contract's owner is the administrator, who alone adds and removes institutions.
/// A user counts as a participant only while the institution that enrolled it is active.
interface IInstitutionRegistry is ISharedErrors {
    /// @param enroller the institution that enrolled this account as a user, or zero
    /// @param active whether this account is a registered institution
    struct Account {
        address enroller;
        bool active;
    }

    event InstitutionAdded(address indexed account, string name);
    event InstitutionRemoved(address indexed account);
    event UserEnrolled(address indexed user, address indexed institution);
    event UserRemoved(address indexed user, address indexed institution);

    /// @notice The account is an active institution already.
    error InstitutionExists(address account);
    /// @notice The account is no active institution.
    error UnknownInstitution(address account);
    /// @notice The user is enrolled by an active institution already.
    error UserExists(address user, address institution);
    /// @notice Only the institution that enrolled a user removes it.
    error NotEnroller(address user, address caller);

    /// @notice Adds an institution, or brings a removed one back, its users with it.
    function addInstitution(address account, string calldata name) external;

    /// @notice Removes an institution; its users stop being participants. Its name stays readable.
    function removeInstitution(address account) external;

    /// @notice Enrols a user of the calling institution.
    function enrolUser(address user) external;

    /// @notice Enrols up to 1024 users of the calling institution.
    function enrolUsers(address[] calldata users) external;

    /// @notice Removes a user whom the caller enrolled.
    function removeUser(address user) external;

    /// @notice Removes up to 1024 users whom the caller enrolled.
    function removeUsers(address[] calldata users) external;

    /// @return name the institution's name, kept after a removal
    /// @return active whether it is registered now
    function institution(address account) external view returns (string memory name, bool active);

    /// @return whether the account is an active institution
    function isInstitution(address account) external view returns (bool);

    /// @return the institution that enrolled the user, active or not, or zero
    function enroller(address user) external view returns (address);

    /// @return whether the account is an active institution, or a user enrolled by one
    function isParticipant(address account) external view returns (bool);

    /// @return a number that every removal increases
    function counter() external view returns (uint256);
}
