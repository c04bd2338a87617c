// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuthorizationView} from "../../src/AuthorizationView.sol";
import {DataTokenRegistry} from "../../src/DataTokenRegistry.sol";
import {InstitutionRegistry} from "../../src/InstitutionRegistry.sol";
import {OperationRegistry} from "../../src/OperationRegistry.sol";
import {RoundLog} from "../../src/RoundLog.sol";
import {TaskMarket} from "../../src/TaskMarket.sol";
import {GrantWord} from "../../src/lib/GrantWord.sol";
import {Test} from "./Test.sol";

/// @dev All contracts, an administrator, two institutions, two users, and short forms of what
/// they do. Keys are small numbers; `vm.addr` gives the accounts.
abstract contract Fixture is Test {
    using GrantWord for uint256;

    uint8 internal constant DATA = 1;
    uint8 internal constant COMPUTE = 2;
    uint8 internal constant ALGORITHM = 3;
    uint64 internal constant NOW = 1_800_000_000;

    uint256 internal constant USER_KEY = 5;
    uint256 internal constant OTHER_KEY = 6;

    address internal immutable admin = vm.addr(1);
    address internal immutable bankA = vm.addr(2);
    address internal immutable bankB = vm.addr(3);
    address internal immutable stranger = vm.addr(4);
    address internal immutable user = vm.addr(USER_KEY);
    address internal immutable other = vm.addr(OTHER_KEY);
    address internal immutable recorder = vm.addr(7);
    address internal immutable relayer = vm.addr(8);

    InstitutionRegistry internal institutions;
    OperationRegistry internal operations;
    DataTokenRegistry internal tokens;
    TaskMarket internal market;
    RoundLog internal log;
    AuthorizationView internal view_;

    uint256 private _serial;

    function setUp() public virtual {
        vm.warp(NOW);
        vm.prank(admin);
        institutions = new InstitutionRegistry();
        vm.prank(admin);
        operations = new OperationRegistry();
        tokens = new DataTokenRegistry(institutions);
        market = new TaskMarket(institutions, tokens);
        log = new RoundLog();
        view_ = new AuthorizationView(institutions, operations, tokens, market, log);
        vm.prank(admin);
        institutions.addInstitution(bankA, "Bank A");
        vm.prank(admin);
        institutions.addInstitution(bankB, "Bank B");
        enrol(bankA, user);
        enrol(bankA, other);
    }

    function enrol(address institution, address who) internal {
        vm.prank(institution);
        institutions.enrolUser(who);
    }

    /// @dev A digest never used before.
    function fresh() internal returns (bytes32) {
        return keccak256(abi.encode(++_serial));
    }

    function hashOf(bytes32[] memory children) internal pure returns (bytes32) {
        return children.length == 0 ? bytes32(0) : keccak256(abi.encodePacked(children));
    }

    function list(bytes32 a) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](1);
        all[0] = a;
    }

    function list(bytes32 a, bytes32 b) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](2);
        (all[0], all[1]) = (a, b);
    }

    function list(bytes32 a, bytes32 b, bytes32 c) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](3);
        (all[0], all[1], all[2]) = (a, b, c);
    }

    function leaf(address owner) internal returns (bytes32) {
        return mint(owner, DATA, new bytes32[](0));
    }

    function mint(address owner, uint8 kind, bytes32[] memory children) internal returns (bytes32) {
        bytes32 proof = fresh();
        bytes32 ddo = fresh();
        vm.prank(owner);
        return tokens.mint(kind, proof, ddo, hashOf(children), uint16(children.length), 0);
    }

    /// @dev An unlimited grant by the child's owner.
    function grant(bytes32 child, bytes32 parent) internal {
        grant(child, parent, 0, 0);
    }

    function grant(bytes32 child, bytes32 parent, uint64 expiry, uint32 maxRounds) internal {
        address owner = tokens.token(child).owner;
        vm.prank(owner);
        tokens.grant(child, parent, expiry, maxRounds);
    }

    function revoke(bytes32 child, bytes32 parent) internal {
        address owner = tokens.token(child).owner;
        vm.prank(owner);
        tokens.revoke(child, parent);
    }

    /// @dev A composite whose children have all granted it.
    function granted(address owner, uint8 kind, bytes32[] memory children)
        internal
        returns (bytes32 parent)
    {
        parent = mint(owner, kind, children);
        for (uint256 i = 0; i < children.length; ++i) {
            grant(children[i], parent);
        }
    }

    function task(address owner) internal returns (uint64) {
        vm.prank(owner);
        return market.createTask(0);
    }

    /// @dev A job of bank B's algorithm over one leaf of the user's.
    function simpleJob() internal returns (bytes32 job, bytes32 algorithm, bytes32 data) {
        data = leaf(user);
        algorithm = granted(bankB, ALGORITHM, list(data));
        job = post(bankB, algorithm, list(data));
    }

    function post(address guarantor, bytes32 algorithm, bytes32[] memory below)
        internal
        returns (bytes32)
    {
        uint64 id = task(guarantor);
        vm.prank(guarantor);
        return market.postJob(id, algorithm, recorder, below);
    }

    /// @dev The EIP-712 digest, written out from the standard.
    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("DataToken"),
                keccak256("1"),
                block.chainid,
                address(tokens)
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }

    function signature(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(structHash));
        return abi.encodePacked(r, s, v);
    }

    function wordOf(bytes32 child, bytes32 parent) internal view returns (uint256) {
        return tokens.grantWord(parent, child);
    }

    function isActive(bytes32 child, bytes32 parent) internal view returns (bool) {
        return wordOf(child, parent).active();
    }

    function epochOf(bytes32 child, bytes32 parent) internal view returns (uint32) {
        return wordOf(child, parent).epoch();
    }
}
