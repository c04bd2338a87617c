// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IInstitutionRegistry} from "./interfaces/IInstitutionRegistry.sol";
import {Limits} from "./lib/Limits.sol";

/// @title Who takes part
contract InstitutionRegistry is IInstitutionRegistry, Ownable2Step {
    mapping(address account => Account) private _accounts;
    mapping(address account => string) private _names;

    /// @inheritdoc IInstitutionRegistry
    /// @dev Starts at 1, so that the first removal costs what every other one does.
    uint256 public counter = 1;

    modifier onlyInstitution() {
        if (!_accounts[msg.sender].active) revert NotInstitution(msg.sender);
        _;
    }

    modifier bounded(uint256 length) {
        if (length > Limits.CHILDREN) revert BatchTooLarge(length, Limits.CHILDREN);
        _;
    }

    constructor() Ownable(msg.sender) {}

    /// @inheritdoc IInstitutionRegistry
    function addInstitution(address account, string calldata name) external onlyOwner {
        if (account == address(0)) revert ZeroAddress();
        uint256 length = bytes(name).length;
        if (length == 0 || length > Limits.NAME) revert NameLength(length, Limits.NAME);
        if (_accounts[account].active) revert InstitutionExists(account);
        _accounts[account].active = true;
        _names[account] = name;
        emit InstitutionAdded(account, name);
    }

    /// @inheritdoc IInstitutionRegistry
    function removeInstitution(address account) external onlyOwner {
        if (!_accounts[account].active) revert UnknownInstitution(account);
        _accounts[account].active = false;
        ++counter;
        emit InstitutionRemoved(account);
    }

    /// @inheritdoc IInstitutionRegistry
    function enrolUser(address user) external onlyInstitution {
        _enrol(user);
    }

    /// @inheritdoc IInstitutionRegistry
    function enrolUsers(address[] calldata users)
        external
        onlyInstitution
        bounded(users.length)
    {
        for (uint256 i = 0; i < users.length; ++i) {
            _enrol(users[i]);
        }
    }

    /// @inheritdoc IInstitutionRegistry
    function removeUser(address user) external {
        _remove(user);
        ++counter;
    }

    /// @inheritdoc IInstitutionRegistry
    function removeUsers(address[] calldata users) external bounded(users.length) {
        for (uint256 i = 0; i < users.length; ++i) {
            _remove(users[i]);
        }
        // An empty list takes nothing away, so a stranger cannot make every gate read anew.
        if (users.length != 0) ++counter;
    }

    /// @inheritdoc IInstitutionRegistry
    function institution(address account)
        external
        view
        returns (string memory name, bool active)
    {
        return (_names[account], _accounts[account].active);
    }

    /// @inheritdoc IInstitutionRegistry
    function isInstitution(address account) external view returns (bool) {
        return _accounts[account].active;
    }

    /// @inheritdoc IInstitutionRegistry
    function enroller(address user) external view returns (address) {
        return _accounts[user].enroller;
    }

    /// @inheritdoc IInstitutionRegistry
    function isParticipant(address account) external view returns (bool) {
        Account memory found = _accounts[account];
        return found.active || _accounts[found.enroller].active;
    }

    /// @dev An institution that was removed does not hold its users back: another may enrol them.
    function _enrol(address user) private {
        if (user == address(0)) revert ZeroAddress();
        address before = _accounts[user].enroller;
        if (_accounts[before].active) revert UserExists(user, before);
        _accounts[user].enroller = msg.sender;
        emit UserEnrolled(user, msg.sender);
    }

    function _remove(address user) private {
        if (_accounts[user].enroller != msg.sender) revert NotEnroller(user, msg.sender);
        _accounts[user].enroller = address(0);
        emit UserRemoved(user, msg.sender);
    }
}
