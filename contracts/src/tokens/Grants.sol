// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "../interfaces/IDataTokenRegistry.sol";
import {GrantWord} from "../lib/GrantWord.sol";
import {Limits} from "../lib/Limits.sol";
import {TimeUnit} from "../lib/TimeUnit.sol";
import {Records} from "./Records.sol";

/// @title Granting a child to a parent, and taking it back
/// @notice The epoch of a grant moves with every revocation and with every direct grant over an
/// active one. A signature names the epoch it was made for.
abstract contract Grants is Records {
    using GrantWord for uint256;

    bytes32 private constant GRANT_TYPEHASH = keccak256(
        "Grant(bytes32 child,bytes32 parent,uint64 expiry,uint32 maxRounds,uint32 epoch,uint64 deadline)"
    );
    bytes32 private constant REVOKE_TYPEHASH =
        keccak256("Revoke(bytes32 child,bytes32 parent,uint32 epoch,uint64 deadline)");

    mapping(bytes32 parent => mapping(bytes32 child => uint256 word)) internal _grants;

    /// @inheritdoc IDataTokenRegistry
    uint256 public counter = 1;

    /// @inheritdoc IDataTokenRegistry
    function grant(bytes32 child, bytes32 parent, uint64 expiry, uint32 maxRounds) external {
        _checkTerms(parent, expiry);
        if (_grant(child, parent, expiry, maxRounds)) ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function grantMany(
        bytes32[] calldata children,
        bytes32 parent,
        uint64 expiry,
        uint32 maxRounds
    ) external {
        _boundWrite(children.length);
        _checkTerms(parent, expiry);
        bool tightened = false;
        for (uint256 i = 0; i < children.length; ++i) {
            if (_grant(children[i], parent, expiry, maxRounds)) tightened = true;
        }
        if (tightened) ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function grantBySig(
        bytes32 child,
        bytes32 parent,
        uint64 expiry,
        uint32 maxRounds,
        uint32 epoch,
        uint64 deadline,
        bytes calldata signature
    ) external {
        _checkTerms(parent, expiry);
        address owner = _ownerOf(child);
        _checkSignature(owner, GRANT_TYPEHASH, 6, deadline, signature);
        uint256 word = _grants[parent][child];
        _checkEpoch(word, epoch);
        if (word.active()) {
            if (!_onlyTightens(word, expiry, maxRounds)) revert GrantNotTighter(parent, child);
            ++counter;
        }
        _store(child, parent, expiry, maxRounds, epoch);
    }

    /// @inheritdoc IDataTokenRegistry
    function revoke(bytes32 child, bytes32 parent) external {
        _checkOwner(child);
        _revoke(child, parent, msg.sender);
        ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function revokeMany(bytes32[] calldata children, bytes32 parent) external {
        _boundWrite(children.length);
        for (uint256 i = 0; i < children.length; ++i) {
            _checkOwner(children[i]);
            _revoke(children[i], parent, msg.sender);
        }
        ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function revokeBySig(
        bytes32 child,
        bytes32 parent,
        uint32 epoch,
        uint64 deadline,
        bytes calldata signature
    ) external {
        address owner = _ownerOf(child);
        _checkSignature(owner, REVOKE_TYPEHASH, 4, deadline, signature);
        _checkEpoch(_grants[parent][child], epoch);
        _revoke(child, parent, owner);
        ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function grantWord(bytes32 parent, bytes32 child) external view returns (uint256) {
        return _grants[parent][child];
    }

    /// @inheritdoc IDataTokenRegistry
    function grantWords(bytes32[] calldata parents, bytes32[] calldata children)
        external
        view
        returns (uint256[] memory words)
    {
        _boundRead(parents.length);
        if (parents.length != children.length) {
            revert LengthMismatch(parents.length, children.length);
        }
        words = new uint256[](parents.length);
        for (uint256 i = 0; i < parents.length; ++i) {
            words[i] = _grants[parents[i]][children[i]];
        }
    }

    /// @return tightened whether an active grant was narrowed in any respect
    function _grant(bytes32 child, bytes32 parent, uint64 expiry, uint32 maxRounds)
        private
        returns (bool tightened)
    {
        _checkOwner(child);
        uint256 word = _grants[parent][child];
        uint32 epoch = word.epoch();
        if (word.active()) {
            ++epoch;
            tightened = GrantWord.tighter(expiry, word.expiry())
                || GrantWord.tighter(maxRounds, word.maxRounds());
        }
        _store(child, parent, expiry, maxRounds, epoch);
    }

    function _store(bytes32 child, bytes32 parent, uint64 expiry, uint32 maxRounds, uint32 epoch)
        private
    {
        Record storage record = _records[child];
        _grants[parent][child] = GrantWord.pack(expiry, maxRounds, epoch, record.children);
        emit Granted(child, parent, record.owner, expiry, maxRounds, epoch);
    }

    function _revoke(bytes32 child, bytes32 parent, address owner) private {
        uint256 word = _grants[parent][child].revoked();
        _grants[parent][child] = word;
        emit Revoked(child, parent, owner, word.epoch());
    }

    function _ownerOf(bytes32 dt) private view returns (address owner) {
        owner = _records[dt].owner;
        if (owner == address(0)) revert UnknownToken(dt);
    }

    function _checkOwner(bytes32 dt) private view {
        if (_ownerOf(dt) != msg.sender) revert NotTokenOwner(dt, msg.sender);
    }

    function _checkTerms(bytes32 parent, uint64 expiry) private view {
        _ownerOf(parent);
        if (TimeUnit.passed(expiry)) revert ExpiryPassed(expiry);
    }

    function _checkEpoch(uint256 word, uint32 given) private pure {
        if (word.epoch() != given) revert StaleEpoch(word.epoch(), given);
    }

    /// @dev True when one limit at least gets tighter and none gets looser.
    function _onlyTightens(uint256 word, uint64 expiry, uint32 maxRounds)
        private
        pure
        returns (bool)
    {
        bool looser = GrantWord.tighter(word.expiry(), expiry)
            || GrantWord.tighter(word.maxRounds(), maxRounds);
        bool same = expiry == word.expiry() && maxRounds == word.maxRounds();
        return !looser && !same;
    }

    function _boundWrite(uint256 length) private pure {
        if (length > Limits.CHILDREN) revert BatchTooLarge(length, Limits.CHILDREN);
    }
}
