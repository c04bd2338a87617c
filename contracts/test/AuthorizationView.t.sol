// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuthorizationView} from "../src/AuthorizationView.sol";
import {DataTokenRegistry} from "../src/DataTokenRegistry.sol";
import {InstitutionRegistry} from "../src/InstitutionRegistry.sol";
import {OperationRegistry} from "../src/OperationRegistry.sol";
import {RoundLog} from "../src/RoundLog.sol";
import {TaskMarket} from "../src/TaskMarket.sol";
import {IAuthorizationView} from "../src/interfaces/IAuthorizationView.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {Fixture} from "./utils/Fixture.sol";

contract AuthorizationViewTest is Fixture {
    bytes32 private job;
    bytes32 private algorithm;
    bytes32 private data;

    function setUp() public override {
        super.setUp();
        (job, algorithm, data) = simpleJob();
    }

    function total() private view returns (uint256) {
        return institutions.counter() + operations.counter() + tokens.counter() + market.counter();
    }

    function counter() private view returns (uint256 count) {
        (count,,,,,) = view_.check(job);
    }

    function read(bytes32[] memory ops) private view returns (IAuthorizationView.Snapshot memory) {
        return view_.snapshot(job, list(algorithm, data), list(bytes32(0), algorithm), ops);
    }

    /// @dev Acceptance: 104
    function test_check_reads_counter_status_head_block_and_time() external {
        vm.prank(recorder);
        (bytes28 logged,) = log.append(job, 0, "one");
        vm.roll(1234);
        (uint256 count, uint8 status, bytes28 head, uint32 round, uint256 number, uint256 time) =
            view_.check(job);
        assertEq(count, total());
        assertEq(status, 1);
        assertEq(head, logged);
        assertEq(round, 1);
        assertEq(number, 1234);
        assertEq(time, NOW);
    }

    function test_time_is_in_seconds_on_a_chain_that_counts_milliseconds() external {
        vm.warp(uint256(NOW) * 1000 + 999);
        (,,,,, uint256 time) = view_.check(job);
        assertEq(time, NOW);
        assertEq(read(new bytes32[](0)).time, NOW);
    }

    /// @dev Acceptance: 104
    function test_snapshot_holds_everything_a_gate_needs() external {
        vm.prank(admin);
        bytes32 operation = operations.register("bundle", "metadata", 1, "n", "e");
        vm.prank(bankB);
        market.announce(job, algorithm, "request");
        vm.prank(recorder);
        (bytes28 logged,) = log.append(job, 0, "one");
        vm.roll(1234);
        IAuthorizationView.Snapshot memory seen = read(list(operation));
        assertEq(seen.chainId, block.chainid);
        assertEq(seen.blockNumber, 1234);
        assertEq(seen.time, NOW);
        assertEq(seen.counter, total());
        assertEq(seen.head, logged);
        assertEq(seen.round, 1);
        checkJob(seen.job);
        checkTokens(seen.tokens);
        assertEq(seen.grants[0], 0);
        assertEq(seen.grants[1], wordOf(data, algorithm));
        assertEq(seen.announcements[0], "request");
        assertEq(seen.announcements[1], 0);
        assertEq(seen.operations[0].bundle, "bundle");
        assertEq(seen.operations[0].metadata, "metadata");
        assertEq(seen.operations[0].publisher, admin);
        assertEq(seen.operations[0].kind, 1);
        assertEq(seen.operations[0].retired, false);
    }

    function checkJob(IAuthorizationView.JobView memory seen) private view {
        assertEq(seen.status, 1);
        assertEq(seen.task, 1);
        assertEq(seen.taskOpen, true);
        assertEq(seen.guarantor, bankB);
        assertEq(seen.guarantorRegistered, true);
        assertEq(seen.recorder, recorder);
        assertEq(seen.postedAt, NOW);
        assertEq(seen.algorithm, algorithm);
    }

    function checkTokens(IAuthorizationView.TokenView[] memory seen) private view {
        assertEq(seen[0].owner, bankB);
        assertEq(seen[0].kind, ALGORITHM);
        assertEq(seen[0].children, 1);
        assertEq(seen[1].owner, user);
        assertEq(seen[1].kind, DATA);
        assertEq(seen[1].mintedAt, NOW);
        assertEq(seen[1].salt, 0);
        assertEq(seen[1].proof, tokens.token(data).proof);
        assertEq(seen[1].ddo, tokens.token(data).ddo);
        assertEq(seen[1].ownerActive, true);
    }

    function test_unknown_ids_give_zeros() external view {
        IAuthorizationView.Snapshot memory seen =
            view_.snapshot("no job", list("no token"), list("no parent"), list("no operation"));
        assertEq(seen.job.status, 0);
        assertEq(seen.job.taskOpen, false);
        assertEq(seen.job.guarantorRegistered, false);
        assertEq(seen.head, 0);
        assertEq(seen.tokens[0].owner, address(0));
        assertEq(seen.tokens[0].ownerActive, false);
        assertEq(seen.grants[0], 0);
        assertEq(seen.announcements[0], 0);
        assertEq(seen.operations[0].publisher, address(0));
        (, uint8 status, bytes28 head,,,) = view_.check("no job");
        assertEq(status, 0);
        assertEq(head, 0);
    }

    /// @dev Acceptance: 105
    function test_every_reduction_of_a_permission_moves_the_counter() external {
        uint256 before = counter();
        revoke(data, algorithm);
        assertEq(counter(), ++before);
        vm.prank(bankB);
        market.pause(job);
        assertEq(counter(), ++before);
        vm.prank(bankB);
        market.closeTask(1);
        assertEq(counter(), ++before);
        vm.prank(bankA);
        institutions.removeUser(user);
        assertEq(counter(), ++before);
        vm.prank(admin);
        institutions.removeInstitution(bankB);
        assertEq(counter(), ++before);
        vm.prank(admin);
        bytes32 operation = operations.register("bundle", "metadata", 1, "n", "e");
        assertEq(counter(), before);
        vm.prank(admin);
        operations.retire(operation);
        assertEq(counter(), ++before);
        IAuthorizationView.Snapshot memory seen = read(list(operation));
        assertEq(seen.job.status, 2);
        assertEq(seen.job.taskOpen, false);
        assertEq(seen.job.guarantorRegistered, false);
        assertEq(seen.tokens[1].ownerActive, false);
        assertEq(seen.operations[0].retired, true);
    }

    function test_a_strangers_log_is_not_the_jobs() external {
        vm.prank(stranger);
        log.append(job, 0, "noise");
        (,, bytes28 head, uint32 round,,) = view_.check(job);
        assertEq(head, 0);
        assertEq(round, 0);
    }

    function test_lists_are_paired_and_bounded() external {
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.LengthMismatch.selector, 2, 1));
        view_.snapshot(job, list(algorithm, data), list(algorithm), new bytes32[](0));
        bytes memory refusal =
            abi.encodeWithSelector(ISharedErrors.BatchTooLarge.selector, 8193, 8192);
        vm.expectRevert(refusal);
        view_.snapshot(job, new bytes32[](0), new bytes32[](0), new bytes32[](8193));
        vm.expectRevert(refusal);
        view_.snapshot(job, new bytes32[](8193), new bytes32[](8193), new bytes32[](0));
    }

    function expectWiring() private {
        vm.expectRevert(IAuthorizationView.WiringMismatch.selector);
    }

    function test_a_mixed_deployment_is_refused() external {
        InstitutionRegistry institutions2 = new InstitutionRegistry();
        DataTokenRegistry tokens2 = new DataTokenRegistry(institutions);
        TaskMarket market2 = new TaskMarket(institutions2, tokens);
        expectWiring();
        new AuthorizationView(institutions2, operations, tokens, market, log);
        expectWiring();
        new AuthorizationView(institutions, operations, tokens2, market, log);
        expectWiring();
        new AuthorizationView(institutions, operations, tokens, market2, log);
        expectWiring();
        new AuthorizationView(
            institutions, OperationRegistry(address(0)), tokens, market, log
        );
        expectWiring();
        new AuthorizationView(
            institutions, operations, tokens, market, RoundLog(address(0))
        );
    }
}
