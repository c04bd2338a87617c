// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The first storage word of a data token's record
/// @notice From the low bits: owner 160, kind 8, children 16, mintedAt 40 (seconds), salt 32.
library RecordHead {
    function pack(address owner_, uint8 kind_, uint16 children_, uint40 mintedAt_, uint32 salt_)
        internal
        pure
        returns (uint256)
    {
        return uint256(uint160(owner_)) | (uint256(kind_) << 160) | (uint256(children_) << 168)
            | (uint256(mintedAt_) << 184) | (uint256(salt_) << 224);
    }

    function owner(uint256 head) internal pure returns (address) {
        return address(uint160(head));
    }

    function kind(uint256 head) internal pure returns (uint8) {
        return uint8(head >> 160);
    }

    function children(uint256 head) internal pure returns (uint16) {
        return uint16(head >> 168);
    }

    function mintedAt(uint256 head) internal pure returns (uint40) {
        return uint40(head >> 184);
    }

    function salt(uint256 head) internal pure returns (uint32) {
        return uint32(head >> 224);
    }
}
