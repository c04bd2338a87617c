// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IClosureErrors} from "./IClosureErrors.sol";
import {IInstitutionRegistry} from "./IInstitutionRegistry.sol";
import {ISharedErrors} from "./ISharedErrors.sol";

/// @title Data tokens (DTs) and the grants between them
/// @notice A DT describes an asset: data, compute or algorithm. A composite fixes its children by
/// their hash inside its own id, so no cycle can be built. The owner of a child grants it to a
/// parent. DTs are immutable and not transferable.
interface IDataTokenRegistry is ISharedErrors, IClosureErrors {
    /// @param owner who minted it, and alone grants it
    /// @param kind 1 data, 2 compute, 3 algorithm
    /// @param children number of children, 0 for a leaf
    /// @param mintedAt seconds
    /// @param salt chosen by the owner; lets one proof be minted twice
    /// @param proof sha256 of the metadata (JCS JSON)
    /// @param ddo sha256 of the DDO's bytes: both its integrity and its path in the store
    struct Record {
        address owner;
        uint8 kind;
        uint16 children;
        uint40 mintedAt;
        uint32 salt;
        bytes32 proof;
        bytes32 ddo;
    }

    event TokenMinted(
        bytes32 indexed dt,
        address indexed owner,
        bytes32 indexed ddo,
        uint8 kind,
        bytes32 proof,
        bytes32 childrenHash,
        uint16 children
    );
    event Granted(
        bytes32 indexed child,
        bytes32 indexed parent,
        address indexed owner,
        uint64 expiry,
        uint32 maxRounds,
        uint32 epoch
    );
    event Revoked(
        bytes32 indexed child, bytes32 indexed parent, address indexed owner, uint32 epoch
    );

    /// @notice A data token's kind is 1 to 3.
    error InvalidTokenKind(uint8 kind);
    /// @notice The children's hash is zero exactly when there are none, and at most 1024 are allowed.
    error InvalidChildren(uint16 children, bytes32 childrenHash);
    /// @notice This data token is minted already.
    error TokenExists(bytes32 dt);
    /// @notice Only the token's owner may do this.
    error NotTokenOwner(bytes32 dt, address caller);
    /// @notice The expiry (seconds) is not in the future; 0 means none.
    error ExpiryPassed(uint64 expiry);
    /// @notice A signature's deadline (seconds) has been reached.
    error SignatureExpired(uint64 deadline);
    /// @notice The signature is not the signer's over these very terms, chain and contract.
    error InvalidSignature(address signer);
    /// @notice The signature was made for another epoch of this grant: something was decided since.
    error StaleEpoch(uint32 stored, uint32 given);
    /// @notice A signed grant over an active one may only tighten it.
    error GrantNotTighter(bytes32 parent, bytes32 child);

    /// @notice Mints a data token for the caller, who must be a participant.
    /// @param childrenHash keccak256 of the children's ids, one after the other; 0 for a leaf
    /// @return dt keccak256(abi.encode(chain id, this contract, owner, proof, childrenHash, salt))
    function mint(
        uint8 kind,
        bytes32 proof,
        bytes32 ddo,
        bytes32 childrenHash,
        uint16 children,
        uint32 salt
    ) external returns (bytes32 dt);

    /// @notice Mints for `owner`, who signed (EIP-712) `Mint(address owner,uint8 kind,bytes32 proof,
    /// bytes32 ddo,bytes32 childrenHash,uint16 children,uint32 salt,uint64 deadline)`.
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
    ) external returns (bytes32 dt);

    /// @notice Grants the caller's token to a parent.
    /// @dev Over an active grant it replaces the terms, and the epoch moves on, so that signatures
    /// given out before lose their force.
    /// @param expiry seconds; the grant holds while time < expiry; 0 = none
    /// @param maxRounds over all jobs and runs; 0 = no limit
    function grant(bytes32 child, bytes32 parent, uint64 expiry, uint32 maxRounds) external;

    /// @notice Grants up to 1024 of the caller's tokens to one parent, on the same terms.
    function grantMany(
        bytes32[] calldata children,
        bytes32 parent,
        uint64 expiry,
        uint32 maxRounds
    ) external;

    /// @notice Grants by the child's owner's signature (EIP-712) over `Grant(bytes32 child,
    /// bytes32 parent,uint64 expiry,uint32 maxRounds,uint32 epoch,uint64 deadline)`.
    /// @dev Valid only at the slot's epoch, which it leaves as it is. It activates an inactive
    /// grant or tightens an active one; it never loosens, so a relayer cannot undo a later wish.
    function grantBySig(
        bytes32 child,
        bytes32 parent,
        uint64 expiry,
        uint32 maxRounds,
        uint32 epoch,
        uint64 deadline,
        bytes calldata signature
    ) external;

    /// @notice Revokes the grant of the caller's token to a parent.
    /// @dev Works without an active grant too: then it voids the signed grants given out before.
    function revoke(bytes32 child, bytes32 parent) external;

    /// @notice Revokes up to 1024 grants of the caller's tokens to one parent.
    function revokeMany(bytes32[] calldata children, bytes32 parent) external;

    /// @notice Revokes by the child's owner's signature (EIP-712) over
    /// `Revoke(bytes32 child,bytes32 parent,uint32 epoch,uint64 deadline)`.
    /// @dev Signed grants leave the epoch as it is, so none of them can get in its way.
    function revokeBySig(
        bytes32 child,
        bytes32 parent,
        uint32 epoch,
        uint64 deadline,
        bytes calldata signature
    ) external;

    /// @notice Reverts unless everything below `top` is granted, level by level, right now.
    /// @param below flat and depth first: a node's children in order, then in order the block of
    /// each child that has children
    function checkClosure(bytes32 top, bytes32[] calldata below) external view;

    /// @return the id that a mint with these values has
    function dtOf(address owner, bytes32 proof, bytes32 childrenHash, uint32 salt)
        external
        view
        returns (bytes32);

    /// @return the record, all zero when unknown
    function token(bytes32 dt) external view returns (Record memory);

    /// @return the records of up to 8192 tokens, all zero where unknown
    function tokens(bytes32[] calldata dts) external view returns (Record[] memory);

    /// @notice The part of a record that fits one storage read.
    function summary(bytes32 dt)
        external
        view
        returns (address owner, uint8 kind, uint16 children);

    /// @return the grant's word: expiry 64 bits, maxRounds 32, epoch 32, children 16, active 1
    function grantWord(bytes32 parent, bytes32 child) external view returns (uint256);

    /// @return the words of up to 8192 grants, (parents[i], children[i])
    function grantWords(bytes32[] calldata parents, bytes32[] calldata children)
        external
        view
        returns (uint256[] memory);

    /// @return the registry that says who is a participant
    function institutions() external view returns (IInstitutionRegistry);

    /// @return a number that every revocation and every replaced or tightened grant increases
    function counter() external view returns (uint256);
}
