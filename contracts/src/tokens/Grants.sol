// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataTokenRegistry} from "../interfaces/IDataTokenRegistry.sol";
import {GrantWord} from "../lib/GrantWord.sol";
import {Limits} from "../lib/Limits.sol";
import {RecordHead} from "../lib/RecordHead.sol";
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

    /// @dev One word as {GrantWord} packs it, as a struct so that its place is worked out once.
    struct Slot {
        uint256 word;
    }

    mapping(bytes32 parent => mapping(bytes32 child => Slot)) internal _grants;

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
        bool replaced = false;
        for (uint256 i = 0; i < children.length; ++i) {
            if (_grant(children[i], parent, expiry, maxRounds)) replaced = true;
        }
        if (replaced) ++counter;
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
        uint256 head = _head(child);
        _checkSignature(RecordHead.owner(head), GRANT_TYPEHASH, 6, deadline, signature);
        Slot storage slot = _grants[parent][child];
        _checkEpoch(slot.word, epoch);
        if (slot.word.active()) {
            if (!_onlyTightens(slot.word, expiry, maxRounds)) {
                revert GrantNotTighter(parent, child);
            }
            ++counter;
        }
        slot.word = GrantWord.pack(expiry, maxRounds, epoch, RecordHead.children(head));
        emit Granted(child, parent, RecordHead.owner(head), expiry, maxRounds, epoch);
    }

    /// @inheritdoc IDataTokenRegistry
    function revoke(bytes32 child, bytes32 parent) external {
        _ownHead(child);
        _revoke(child, parent, msg.sender);
        ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function revokeMany(bytes32[] calldata children, bytes32 parent) external {
        _boundWrite(children.length);
        for (uint256 i = 0; i < children.length; ++i) {
            _ownHead(children[i]);
            _revoke(children[i], parent, msg.sender);
        }
        // An empty list takes nothing away, so a stranger cannot make every gate read anew.
        if (children.length != 0) ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function revokeBySig(
        bytes32 child,
        bytes32 parent,
        uint32 epoch,
        uint64 deadline,
        bytes calldata signature
    ) external {
        address owner = RecordHead.owner(_head(child));
        _checkSignature(owner, REVOKE_TYPEHASH, 4, deadline, signature);
        _checkEpoch(_grants[parent][child].word, epoch);
        _revoke(child, parent, owner);
        ++counter;
    }

    /// @inheritdoc IDataTokenRegistry
    function grantWord(bytes32 parent, bytes32 child) external view returns (uint256) {
        return _grants[parent][child].word;
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
            words[i] = _grants[parents[i]][children[i]].word;
        }
    }

    /// @return replaced whether an active grant was replaced: rounds count under the new epoch
    function _grant(bytes32 child, bytes32 parent, uint64 expiry, uint32 maxRounds)
        private
        returns (bool replaced)
    {
        uint16 children = RecordHead.children(_ownHead(child));
        Slot storage slot = _grants[parent][child];
        uint256 word = slot.word;
        uint32 epoch = word.epoch();
        if (word.active()) {
            ++epoch;
            replaced = true;
        }
        slot.word = GrantWord.pack(expiry, maxRounds, epoch, children);
        emit Granted(child, parent, msg.sender, expiry, maxRounds, epoch);
    }

    function _revoke(bytes32 child, bytes32 parent, address owner) private {
        Slot storage slot = _grants[parent][child];
        uint256 word = slot.word.revoked();
        slot.word = word;
        emit Revoked(child, parent, owner, word.epoch());
    }

    /// @return head the head of a token that exists
    function _head(bytes32 dt) private view returns (uint256 head) {
        head = _records[dt].head;
        if (head == 0) revert UnknownToken(dt);
    }

    /// @return head the head of a token of the caller's
    function _ownHead(bytes32 dt) private view returns (uint256 head) {
        head = _records[dt].head;
        if (RecordHead.owner(head) != msg.sender) {
            if (head == 0) revert UnknownToken(dt);
            revert NotTokenOwner(dt, msg.sender);
        }
    }

    function _checkTerms(bytes32 parent, uint64 expiry) private view {
        if (_records[parent].head == 0) revert UnknownToken(parent);
        if (expiry != 0 && expiry <= TimeUnit.nowSeconds()) revert ExpiryPassed(expiry);
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
