// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {GrantWord} from "../src/lib/GrantWord.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @dev An owner who grants, revokes and hands out signatures for one grant, and a hostile relayer
/// who submits any signature at any time.
contract GrantHandler is Fixture {
    using GrantWord for uint256;

    struct Signed {
        uint64 expiry;
        uint32 maxRounds;
        uint32 epoch;
        bytes signature;
    }

    bytes32 public child;
    bytes32 public parent;
    uint256 public reductions;
    uint256 public moves;
    bool public broken;

    Signed[] private _grants;
    Signed[] private _revocations;
    uint64 private constant DEADLINE = type(uint64).max;

    constructor() {
        super.setUp();
        child = leaf(user);
        parent = mint(bankA, DATA, list(child));
        reductions = tokens.counter();
    }

    /// @dev Only the constructor sets up; the fuzzer would call a public setUp.
    function setUp() public pure override {}

    function word() public view returns (uint256) {
        return tokens.grantWord(parent, child);
    }

    function counter() external view returns (uint256) {
        return tokens.counter();
    }

    function terms(uint256 seed) private pure returns (uint64 expiry, uint32 maxRounds) {
        expiry = seed % 3 == 0 ? 0 : NOW + uint64(seed % 7 + 1) * 100;
        maxRounds = seed % 5 == 0 ? 0 : uint32(seed % 11 + 1);
    }

    function narrows(uint256 older, uint64 expiry, uint32 maxRounds) private pure returns (bool) {
        return GrantWord.tighter(expiry, older.expiry())
            || GrantWord.tighter(maxRounds, older.maxRounds());
    }

    function loosens(uint256 older, uint64 expiry, uint32 maxRounds) private pure returns (bool) {
        return GrantWord.tighter(older.expiry(), expiry)
            || GrantWord.tighter(older.maxRounds(), maxRounds);
    }

    function ownerGrants(uint256 seed) external {
        (uint64 expiry, uint32 maxRounds) = terms(seed);
        uint256 before = word();
        if (before.active()) {
            ++moves;
            ++reductions;
        }
        grant(child, parent, expiry, maxRounds);
    }

    function ownerRevokes() external {
        revoke(child, parent);
        ++moves;
        ++reductions;
    }

    function ownerSignsGrant(uint256 seed) external {
        (uint64 expiry, uint32 maxRounds) = terms(seed);
        uint32 epoch = word().epoch();
        bytes32 typeHash = keccak256(
            "Grant(bytes32 child,bytes32 parent,uint64 expiry,uint32 maxRounds,uint32 epoch,uint64 deadline)"
        );
        bytes32 hash =
            keccak256(abi.encode(typeHash, child, parent, expiry, maxRounds, epoch, DEADLINE));
        _grants.push(Signed(expiry, maxRounds, epoch, signature(USER_KEY, hash)));
    }

    function ownerSignsRevocation() external {
        uint32 epoch = word().epoch();
        bytes32 typeHash =
            keccak256("Revoke(bytes32 child,bytes32 parent,uint32 epoch,uint64 deadline)");
        bytes32 hash = keccak256(abi.encode(typeHash, child, parent, epoch, DEADLINE));
        _revocations.push(Signed(0, 0, epoch, signature(USER_KEY, hash)));
    }

    function relayerSubmitsGrant(uint256 pick) external {
        if (_grants.length == 0) return;
        Signed memory s = _grants[pick % _grants.length];
        uint256 before = word();
        bool useful = s.epoch == before.epoch()
            && (
                !before.active()
                    || (narrows(before, s.expiry, s.maxRounds) && !loosens(before, s.expiry, s.maxRounds))
            );
        try tokens.grantBySig(
            child, parent, s.expiry, s.maxRounds, s.epoch, DEADLINE, s.signature
        ) {
            if (!useful) broken = true;
            if (before.active()) ++reductions;
        } catch {
            if (useful) broken = true;
        }
    }

    /// @dev Whatever the relayer did before, a revocation of the present epoch goes through.
    function relayerSubmitsRevocation(uint256 pick) external {
        if (_revocations.length == 0) return;
        Signed memory s = _revocations[pick % _revocations.length];
        bool due = s.epoch == word().epoch();
        try tokens.revokeBySig(child, parent, s.epoch, DEADLINE, s.signature) {
            if (!due) broken = true;
            ++moves;
            ++reductions;
        } catch {
            if (due) broken = true;
        }
    }
}

contract GrantInvariantTest is Fixture {
    using GrantWord for uint256;

    GrantHandler private handler;

    function setUp() public override {
        handler = new GrantHandler();
    }

    function targetContracts() external view returns (address[] memory all) {
        all = new address[](1);
        all[0] = address(handler);
    }

    /// @dev Replayed grants, blocked revocations: none succeeds, none of the due ones fails.
    function invariant_signatures_count_only_at_their_epoch() external view {
        assertTrue(!handler.broken(), "a signature had another effect than its owner gave it");
    }

    function invariant_epoch_counts_the_owners_decisions() external view {
        assertEq(handler.word().epoch(), handler.moves());
    }

    /// @dev Acceptance: 105
    function invariant_counter_counts_every_reduction() external view {
        assertEq(handler.counter(), handler.reductions());
    }
}
