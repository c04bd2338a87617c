// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IClosureErrors} from "../src/interfaces/IClosureErrors.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {ITaskMarket} from "../src/interfaces/ITaskMarket.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @dev Everything below an algorithm, from `checkClosure` up to `postJob`.
contract PostingTest is Fixture {
    function expectRefusal(bytes4 selector, bytes32 parent, bytes32 child) private {
        vm.expectRevert(abi.encodeWithSelector(selector, parent, child));
    }

    function expectMismatch(bytes32 dt) private {
        vm.expectRevert(abi.encodeWithSelector(IClosureErrors.ChildrenMismatch.selector, dt));
    }

    /// @dev Acceptance: 44, 45, 46, 47
    function test_a_posted_job_names_everything_that_counts() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = granted(bankB, ALGORITHM, list(data));
        uint64 id = task(bankB);
        bytes32 expected = keccak256(abi.encode(block.chainid, address(market), uint256(1)));
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.JobPosted(expected, algorithm, bankB, id, recorder);
        vm.prank(bankB);
        bytes32 job = market.postJob(id, algorithm, recorder, list(data));
        assertEq(job, expected);
        ITaskMarket.Job memory found = market.job(job);
        assertEq(found.guarantor, bankB);
        assertEq(found.task, id);
        assertEq(found.status, 1);
        assertEq(found.recorder, recorder);
        assertEq(found.postedAt, NOW);
        assertEq(found.algorithm, algorithm);
    }

    /// @dev Acceptance: 44
    function test_a_grant_alone_makes_no_job() external {
        bytes32 data = leaf(user);
        granted(bankB, ALGORITHM, list(data));
        bytes32 first = keccak256(abi.encode(block.chainid, address(market), uint256(1)));
        assertEq(market.job(first).status, 0);
    }

    /// @dev Acceptance: 15
    function test_a_task_holds_several_jobs() external {
        (bytes32 first,, bytes32 data) = simpleJob();
        bytes32 second = granted(bankB, ALGORITHM, list(data));
        vm.prank(bankB);
        bytes32 job = market.postJob(1, second, recorder, list(data));
        assertTrue(job != first, "another job");
        assertEq(market.job(job).task, market.job(first).task);
    }

    /// @dev Acceptance: 45, 48
    function test_posting_with_one_grant_missing() external {
        bytes32[] memory data = list(leaf(user), leaf(other), leaf(bankA));
        bytes32 algorithm = mint(bankB, ALGORITHM, data);
        grant(data[0], algorithm);
        grant(data[2], algorithm);
        uint64 id = task(bankB);
        expectRefusal(IClosureErrors.MissingGrant.selector, algorithm, data[1]);
        vm.prank(bankB);
        market.postJob(id, algorithm, recorder, data);
    }

    /// @dev Acceptance: 48
    function test_composite_activated_with_none() external {
        bytes32[] memory users = list(leaf(user), leaf(other));
        bytes32 composite = mint(bankA, DATA, users);
        bytes32 algorithm = granted(bankB, ALGORITHM, list(composite));
        expectRefusal(IClosureErrors.MissingGrant.selector, composite, users[0]);
        tokens.checkClosure(algorithm, list(composite, users[0], users[1]));
        expectMismatch(composite);
        tokens.checkClosure(algorithm, list(composite));
    }

    /// @dev Acceptance: 48, 105
    function test_posting_over_a_revoked_grant() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = granted(bankB, ALGORITHM, list(data));
        revoke(data, algorithm);
        expectRefusal(IClosureErrors.GrantRevoked.selector, algorithm, data);
        tokens.checkClosure(algorithm, list(data));
    }

    /// @dev Acceptance: 48, 105
    function test_posting_over_an_expired_grant() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = mint(bankB, ALGORITHM, list(data));
        grant(data, algorithm, NOW + 60, 0);
        vm.warp(NOW + 59);
        tokens.checkClosure(algorithm, list(data));
        vm.warp(NOW + 60);
        vm.expectRevert(
            abi.encodeWithSelector(
                IClosureErrors.GrantExpired.selector, algorithm, data, NOW + 60
            )
        );
        tokens.checkClosure(algorithm, list(data));
    }

    function test_expiry_at_posting_where_the_chain_counts_milliseconds() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = mint(bankB, ALGORITHM, list(data));
        grant(data, algorithm, NOW + 60, 0);
        vm.warp(uint256(NOW + 60) * 1000 - 1);
        tokens.checkClosure(algorithm, list(data));
        vm.warp(uint256(NOW + 60) * 1000);
        vm.expectRevert(
            abi.encodeWithSelector(
                IClosureErrors.GrantExpired.selector, algorithm, data, NOW + 60
            )
        );
        tokens.checkClosure(algorithm, list(data));
    }

    function test_grant_to_a_non_parent_opens_nothing() external {
        bytes32 wanted = leaf(user);
        bytes32 data = leaf(other);
        bytes32 algorithm = granted(bankB, ALGORITHM, list(data));
        grant(wanted, algorithm);
        expectMismatch(algorithm);
        tokens.checkClosure(algorithm, list(wanted));
        vm.expectRevert(abi.encodeWithSelector(IClosureErrors.ClosureLeftover.selector, 1, 2));
        tokens.checkClosure(algorithm, list(data, wanted));
    }

    function test_a_grant_to_one_parent_does_not_serve_another() external {
        bytes32 data = leaf(user);
        granted(bankB, ALGORITHM, list(data));
        bytes32 second = mint(bankB, ALGORITHM, list(data));
        expectRefusal(IClosureErrors.MissingGrant.selector, second, data);
        tokens.checkClosure(second, list(data));
    }

    function test_children_in_another_order_or_number() external {
        bytes32[] memory data = list(leaf(user), leaf(other));
        bytes32 algorithm = granted(bankB, ALGORITHM, data);
        tokens.checkClosure(algorithm, data);
        expectMismatch(algorithm);
        tokens.checkClosure(algorithm, list(data[1], data[0]));
        expectMismatch(algorithm);
        tokens.checkClosure(algorithm, list(data[0]));
        expectMismatch(algorithm);
        tokens.checkClosure(algorithm, new bytes32[](0));
    }

    function test_a_false_number_of_children_makes_a_token_that_cannot_be_posted() external {
        bytes32[] memory data = list(leaf(user), leaf(other));
        vm.prank(bankB);
        bytes32 algorithm = tokens.mint(ALGORITHM, fresh(), "ddo", hashOf(data), 1, 0);
        grant(data[0], algorithm);
        grant(data[1], algorithm);
        expectMismatch(algorithm);
        tokens.checkClosure(algorithm, data);
    }

    function test_a_leaf_or_unknown_token_has_nothing_to_run() external {
        bytes32 algorithm = mint(bankB, ALGORITHM, new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(IClosureErrors.NoChildren.selector, algorithm));
        tokens.checkClosure(algorithm, new bytes32[](0));
        vm.expectRevert(
            abi.encodeWithSelector(ISharedErrors.UnknownToken.selector, bytes32("x"))
        );
        tokens.checkClosure("x", new bytes32[](0));
    }

    /// @dev A chain of `levels` composites above one leaf, the list from the top down.
    function tower(uint256 levels) private returns (bytes32 top, bytes32[] memory below) {
        below = new bytes32[](levels);
        top = leaf(user);
        for (uint256 i = levels; i > 0; --i) {
            below[i - 1] = top;
            top = granted(user, ALGORITHM, list(top));
        }
    }

    /// @dev Acceptance: 16
    function test_nesting_reaches_eight_levels_and_no_further() external {
        (bytes32 top, bytes32[] memory below) = tower(8);
        tokens.checkClosure(top, below);
        (top, below) = tower(9);
        vm.expectRevert(
            abi.encodeWithSelector(IClosureErrors.DepthExceeded.selector, below[7], 8)
        );
        tokens.checkClosure(top, below);
    }

    function test_the_closure_is_bounded() external {
        bytes32 algorithm = granted(bankB, ALGORITHM, list(leaf(user)));
        vm.expectRevert(
            abi.encodeWithSelector(IClosureErrors.ClosureExceeded.selector, 4097, 4096)
        );
        tokens.checkClosure(algorithm, new bytes32[](4097));
    }

    function test_the_widest_composite_can_be_posted() external {
        bytes32[] memory many = new bytes32[](1024);
        for (uint256 i = 0; i < many.length; ++i) {
            many[i] = leaf(user);
        }
        bytes32 algorithm = mint(bankB, ALGORITHM, many);
        vm.prank(user);
        tokens.grantMany(many, algorithm, 0, 0);
        tokens.checkClosure(algorithm, many);
    }

    // ---- a tree of random shape

    bytes32[] private _flat;
    bytes32[2][] private _edges;

    /// @dev Builds children first, so it collects blocks and writes them out in posting order.
    function build(uint256 seed, uint256 depth)
        private
        returns (bytes32 node, bytes32[] memory block_)
    {
        uint256 width = depth == 0 ? 0 : bound(seed, depth == 3 ? 1 : 0, 3);
        bytes32[] memory children = new bytes32[](width);
        bytes memory blocks;
        for (uint256 i = 0; i < width; ++i) {
            bytes32[] memory inner;
            (children[i], inner) = build(uint256(keccak256(abi.encode(seed, i))), depth - 1);
            blocks = abi.encodePacked(blocks, inner);
        }
        node = mint(user, depth == 3 ? ALGORITHM : DATA, children);
        for (uint256 i = 0; i < width; ++i) {
            grant(children[i], node);
            _edges.push([children[i], node]);
        }
        block_ = unpack(abi.encodePacked(abi.encodePacked(children), blocks));
    }

    function unpack(bytes memory packed) private pure returns (bytes32[] memory words) {
        words = new bytes32[](packed.length / 32);
        for (uint256 i = 0; i < words.length; ++i) {
            bytes32 word;
            assembly {
                word := mload(add(packed, mul(32, add(i, 1))))
            }
            words[i] = word;
        }
    }

    /// @dev Acceptance: 16, 45, 48
    function testFuzz_a_tree_is_posted_only_whole(uint256 seed, uint256 pick) external {
        (bytes32 top, bytes32[] memory below) = build(seed, 3);
        tokens.checkClosure(top, below);
        bytes32[2] memory edge = _edges[pick % _edges.length];
        revoke(edge[0], edge[1]);
        expectRefusal(IClosureErrors.GrantRevoked.selector, edge[1], edge[0]);
        tokens.checkClosure(top, below);
        grant(edge[0], edge[1]);
        below[pick % below.length] = keccak256("another");
        vm.expectRevert();
        tokens.checkClosure(top, below);
    }
}
