// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A grant in one storage word
/// @notice From the low bits: expiry 64 (seconds, 0 = none), maxRounds 32 (0 = no limit),
/// epoch 32, children 16 (of the child, cached, so that posting a leaf costs one read), active 1.
library GrantWord {
    uint256 private constant EPOCH_SHIFT = 96;
    uint256 private constant CHILDREN_SHIFT = 128;
    uint256 private constant ACTIVE = 1 << 144;

    function pack(uint64 expiry_, uint32 maxRounds_, uint32 epoch_, uint16 children_)
        internal
        pure
        returns (uint256)
    {
        return uint256(expiry_) | (uint256(maxRounds_) << 64) | (uint256(epoch_) << EPOCH_SHIFT)
            | (uint256(children_) << CHILDREN_SHIFT) | ACTIVE;
    }

    function expiry(uint256 word) internal pure returns (uint64) {
        return uint64(word);
    }

    function maxRounds(uint256 word) internal pure returns (uint32) {
        return uint32(word >> 64);
    }

    function epoch(uint256 word) internal pure returns (uint32) {
        return uint32(word >> EPOCH_SHIFT);
    }

    function children(uint256 word) internal pure returns (uint16) {
        return uint16(word >> CHILDREN_SHIFT);
    }

    function active(uint256 word) internal pure returns (bool) {
        return word & ACTIVE != 0;
    }

    /// @notice Whether the grant holds at a time in seconds.
    function allowsAt(uint256 word, uint256 time) internal pure returns (bool) {
        uint256 end = uint64(word);
        return word & ACTIVE != 0 && (end == 0 || time < end);
    }

    /// @return the word without its active bit and with the next epoch
    function revoked(uint256 word) internal pure returns (uint256) {
        uint256 next = uint256(epoch(word) + 1) << EPOCH_SHIFT;
        return (word & ~(ACTIVE | (uint256(type(uint32).max) << EPOCH_SHIFT))) | next;
    }

    /// @notice Whether a limit is below an older one, where 0 stands for no limit.
    function tighter(uint256 limit, uint256 older) internal pure returns (bool) {
        return limit != older && limit != 0 && (older == 0 || limit < older);
    }
}
