// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IDataTokenRegistry} from "../interfaces/IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "../interfaces/IInstitutionRegistry.sol";
import {TokenKind} from "../lib/Codes.sol";
import {Limits} from "../lib/Limits.sol";
import {RecordHead} from "../lib/RecordHead.sol";
import {TimeUnit} from "../lib/TimeUnit.sol";

/// @title Minting and reading data tokens
abstract contract Records is IDataTokenRegistry, EIP712 {
    using RecordHead for uint256;

    bytes32 private constant MINT_TYPEHASH = keccak256(
        "Mint(address owner,uint8 kind,bytes32 proof,bytes32 ddo,bytes32 childrenHash,uint16 children,uint32 salt,uint64 deadline)"
    );

    /// @inheritdoc IDataTokenRegistry
    IInstitutionRegistry public immutable institutions;

    /// @dev A {Record} in three words. The head, as {RecordHead} packs it, is never 0 once minted.
    struct Stored {
        uint256 head;
        bytes32 proof;
        bytes32 ddo;
    }

    mapping(bytes32 dt => Stored) internal _records;

    constructor(IInstitutionRegistry institutions_) {
        if (address(institutions_) == address(0)) revert ZeroAddress();
        institutions = institutions_;
    }

    /// @inheritdoc IDataTokenRegistry
    function mint(
        uint8 kind,
        bytes32 proof,
        bytes32 ddo,
        bytes32 childrenHash,
        uint16 children,
        uint32 salt
    ) external returns (bytes32 dt) {
        return _mint(msg.sender, kind, proof, ddo, childrenHash, children, salt);
    }

    /// @inheritdoc IDataTokenRegistry
    function mintBySig(
        address owner,
        uint8 kind,
        bytes32 proof,
        bytes32 ddo,
        bytes32 childrenHash,
        uint16 children,
        uint32 salt,
        uint64 deadline,
        bytes calldata signature
    ) external returns (bytes32 dt) {
        _checkSignature(owner, MINT_TYPEHASH, 8, deadline, signature);
        return _mint(owner, kind, proof, ddo, childrenHash, children, salt);
    }

    /// @inheritdoc IDataTokenRegistry
    function dtOf(address owner, bytes32 proof, bytes32 childrenHash, uint32 salt)
        external
        view
        returns (bytes32)
    {
        return _id(owner, proof, childrenHash, salt);
    }

    /// @inheritdoc IDataTokenRegistry
    function token(bytes32 dt) external view returns (Record memory) {
        return _read(dt);
    }

    /// @inheritdoc IDataTokenRegistry
    function tokens(bytes32[] calldata dts) external view returns (Record[] memory found) {
        _boundRead(dts.length);
        found = new Record[](dts.length);
        for (uint256 i = 0; i < dts.length; ++i) {
            found[i] = _read(dts[i]);
        }
    }

    /// @inheritdoc IDataTokenRegistry
    function summary(bytes32 dt)
        external
        view
        returns (address owner, uint8 kind, uint16 children)
    {
        uint256 head = _records[dt].head;
        return (head.owner(), head.kind(), head.children());
    }

    function _mint(
        address owner,
        uint8 kind,
        bytes32 proof,
        bytes32 ddo,
        bytes32 childrenHash,
        uint16 children,
        uint32 salt
    ) private returns (bytes32 dt) {
        if (kind < TokenKind.DATA || kind > TokenKind.ALGORITHM) revert InvalidTokenKind(kind);
        if (proof == 0 || ddo == 0) revert ZeroDigest();
        if ((children == 0) != (childrenHash == 0) || children > Limits.CHILDREN) {
            revert InvalidChildren(children, childrenHash);
        }
        if (!institutions.isParticipant(owner)) revert NotParticipant(owner);
        dt = _id(owner, proof, childrenHash, salt);
        Stored storage record = _records[dt];
        if (record.head != 0) revert TokenExists(dt);
        record.head =
            RecordHead.pack(owner, kind, children, uint40(TimeUnit.nowSeconds()), salt);
        record.proof = proof;
        record.ddo = ddo;
        emit TokenMinted(dt, owner, ddo, kind, proof, childrenHash, children);
    }

    /// @dev Each signed function takes the fields of its EIP-712 struct as its first parameters, all
    /// of one word, in the struct's order: so the struct's encoding is the calldata after the
    /// selector. The ABI decoder has refused words with dirty upper bits by then.
    function _checkSignature(
        address signer,
        bytes32 typeHash,
        uint256 fields,
        uint64 deadline,
        bytes calldata signature
    ) internal view {
        if (deadline <= TimeUnit.nowSeconds()) revert SignatureExpired(deadline);
        bytes32 digest = _hashTypedDataV4(
            keccak256(bytes.concat(typeHash, msg.data[4:4 + fields * 32]))
        );
        if (!SignatureChecker.isValidSignatureNow(signer, digest, signature)) {
            revert InvalidSignature(signer);
        }
    }

    function _id(address owner, bytes32 proof, bytes32 childrenHash, uint32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(block.chainid, address(this), owner, proof, childrenHash, salt)
        );
    }

    function _read(bytes32 dt) private view returns (Record memory record) {
        Stored storage stored = _records[dt];
        uint256 head = stored.head;
        record.owner = head.owner();
        record.kind = head.kind();
        record.children = head.children();
        record.mintedAt = head.mintedAt();
        record.salt = head.salt();
        record.proof = stored.proof;
        record.ddo = stored.ddo;
    }

    function _boundRead(uint256 length) internal pure {
        if (length > Limits.READ) revert BatchTooLarge(length, Limits.READ);
    }
}
