// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RoundLog} from "../src/RoundLog.sol";
import {IRoundLog} from "../src/interfaces/IRoundLog.sol";
import {Fixture} from "./utils/Fixture.sol";

contract RoundLogTest is Fixture {
    bytes32 private constant JOB = keccak256("job");

    function linkOf(bytes28 previous, bytes32 document) private view returns (bytes28) {
        return bytes28(
            keccak256(abi.encode(block.chainid, address(log), JOB, previous, document))
        );
    }

    function append(bytes28 previous, bytes32 document) private returns (bytes28 head) {
        vm.prank(recorder);
        (head,) = log.append(JOB, previous, document);
    }

    /// @dev Acceptance: 106
    function test_a_round_is_one_transaction_on_a_chain_of_hashes() external {
        bytes28 first = linkOf(0, "one");
        vm.expectEmit(true, true, true, true);
        emit IRoundLog.RoundLogged(JOB, recorder, 1, first, "one");
        assertEq(append(0, "one"), first);
        vm.prank(recorder);
        (bytes28 second, uint32 round) = log.append(JOB, first, "two");
        assertEq(second, linkOf(first, "two"));
        assertEq(round, 2);
        (bytes28 stored, uint32 count) = log.head(JOB, recorder);
        assertEq(stored, second);
        assertEq(count, 2);
    }

    function test_repeated_transaction() external {
        append(0, "one");
        bytes28 head = linkOf(0, "one");
        vm.expectRevert(
            abi.encodeWithSelector(IRoundLog.StaleHead.selector, head, bytes28(0))
        );
        append(0, "one");
    }

    function test_forked_log() external {
        bytes28 first = append(0, "one");
        bytes28 second = append(first, "two");
        vm.expectRevert(abi.encodeWithSelector(IRoundLog.StaleHead.selector, second, first));
        append(first, "another two");
    }

    function test_a_strangers_chain_is_a_chain_of_its_own() external {
        append(0, "one");
        vm.prank(stranger);
        log.append(JOB, 0, "noise");
        (bytes28 head, uint32 round) = log.head(JOB, recorder);
        assertEq(head, linkOf(0, "one"));
        assertEq(round, 1);
    }

    function test_the_same_document_elsewhere_has_another_head() external {
        bytes28 here = append(0, "one");
        RoundLog second = new RoundLog();
        vm.prank(recorder);
        (bytes28 there,) = second.append(JOB, 0, "one");
        assertTrue(there != here, "other contract");
        vm.prank(recorder);
        (bytes28 otherJob,) = log.append("job 2", 0, "one");
        assertTrue(otherJob != here, "other job");
        assertTrue(linkOf(0, "one") == here, "same chain");
        vm.chainId(20250407);
        assertTrue(linkOf(0, "one") != here, "other chain");
    }

    /// @dev Acceptance: 106
    function test_rounds_are_logged_in_every_status_of_the_job() external {
        (bytes32 job,,) = simpleJob();
        vm.prank(bankB);
        market.close(job);
        vm.prank(recorder);
        (, uint32 round) = log.append(job, 0, "last");
        assertEq(round, 1);
    }

    function testFuzz_head_proves_order_and_completeness(bytes32[8] calldata documents) external {
        bytes28 head;
        for (uint256 i = 0; i < documents.length; ++i) {
            bytes28 expected = linkOf(head, documents[i]);
            head = append(head, documents[i]);
            assertEq(head, expected);
            (bytes28 stored, uint32 round) = log.head(JOB, recorder);
            assertEq(stored, head);
            assertEq(round, i + 1);
        }
    }

    function testFuzz_only_the_stored_head_is_built_on(bytes28 given, bytes32 document) external {
        bytes28 stored = append(0, "one");
        vm.assume(given != stored);
        vm.expectRevert(abi.encodeWithSelector(IRoundLog.StaleHead.selector, stored, given));
        append(given, document);
    }
}
