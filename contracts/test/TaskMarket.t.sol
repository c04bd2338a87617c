// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TaskMarket} from "../src/TaskMarket.sol";
import {IDataTokenRegistry} from "../src/interfaces/IDataTokenRegistry.sol";
import {IInstitutionRegistry} from "../src/interfaces/IInstitutionRegistry.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {ITaskMarket} from "../src/interfaces/ITaskMarket.sol";
import {Fixture} from "./utils/Fixture.sol";

contract TaskMarketTest is Fixture {
    function expectPosting(address caller, uint64 id, bytes32 algorithm, bytes memory refusal)
        private
    {
        bytes32[] memory below = list("never read");
        vm.expectRevert(refusal);
        vm.prank(caller);
        market.postJob(id, algorithm, recorder, below);
    }

    function expectStatus(bytes32 job, uint8 status) private {
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.WrongJobStatus.selector, job, status));
    }

    function expectNotParty(bytes32 job, address caller) private {
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.NotJobParty.selector, job, caller));
        vm.prank(caller);
    }

    // ---- tasks

    /// @dev Acceptance: 75, 92
    function test_a_participant_creates_tasks() external {
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.TaskCreated(1, user, "why");
        vm.prank(user);
        assertEq(market.createTask("why"), 1);
        assertEq(task(bankB), 2);
        ITaskMarket.Task memory found = market.task(1);
        assertEq(found.owner, user);
        assertEq(found.status, 1);
        assertEq(found.createdAt, NOW);
        assertEq(found.description, "why");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NotParticipant.selector, stranger));
        market.createTask(0);
    }

    function test_a_task_is_closed_once_by_its_owner() external {
        uint64 id = task(bankB);
        uint256 before = market.counter();
        vm.prank(bankA);
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.NotTaskOwner.selector, id, bankA));
        market.closeTask(id);
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.TaskClosed(id, bankB);
        vm.prank(bankB);
        market.closeTask(id);
        assertEq(market.task(id).status, 2);
        assertEq(market.counter(), before + 1);
        vm.prank(bankB);
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.TaskNotOpen.selector, id));
        market.closeTask(id);
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.TaskNotOpen.selector, 77));
        market.closeTask(77);
    }

    // ---- who posts

    /// @dev Acceptance: 8, 47
    function test_only_a_trusted_institution_posts() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = granted(user, ALGORITHM, list(data));
        uint64 id = task(user);
        expectPosting(
            user, id, algorithm, abi.encodeWithSelector(ISharedErrors.NotInstitution.selector, user)
        );
        vm.prank(admin);
        institutions.removeInstitution(bankB);
        expectPosting(
            bankB, id, algorithm, abi.encodeWithSelector(ISharedErrors.NotInstitution.selector, bankB)
        );
    }

    /// @dev Acceptance: 8, 47
    function test_a_guarantor_is_the_owner_or_one_that_the_owner_has_named() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = granted(user, ALGORITHM, list(data));
        uint64 id = task(user);
        expectPosting(
            bankA,
            id,
            algorithm,
            abi.encodeWithSelector(ITaskMarket.NotGuarantor.selector, algorithm, bankA)
        );
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.GuarantorNamed(algorithm, bankA, true);
        vm.prank(user);
        market.nameGuarantor(algorithm, bankA, true);
        assertTrue(market.isNamed(algorithm, bankA), "named");
        vm.prank(bankA);
        bytes32 job = market.postJob(id, algorithm, recorder, list(data));
        assertEq(market.job(job).guarantor, bankA);
        vm.prank(user);
        market.nameGuarantor(algorithm, bankA, false);
        expectPosting(
            bankA,
            id,
            algorithm,
            abi.encodeWithSelector(ITaskMarket.NotGuarantor.selector, algorithm, bankA)
        );
    }

    function test_only_the_algorithms_owner_names_guarantors() external {
        bytes32 algorithm = mint(user, ALGORITHM, list(leaf(user)));
        vm.prank(bankA);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskMarket.NotTokenOwner.selector, algorithm, bankA)
        );
        market.nameGuarantor(algorithm, bankA, true);
        vm.prank(user);
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        market.nameGuarantor(algorithm, address(0), true);
        vm.prank(user);
        vm.expectRevert(
            abi.encodeWithSelector(ISharedErrors.UnknownToken.selector, bytes32("x"))
        );
        market.nameGuarantor("x", bankA, true);
    }

    function test_only_an_algorithm_is_posted() external {
        bytes32 data = granted(bankB, DATA, list(leaf(user)));
        uint64 id = task(bankB);
        expectPosting(
            bankB, id, data, abi.encodeWithSelector(ITaskMarket.NotAlgorithm.selector, data, DATA)
        );
        expectPosting(
            bankB, id, "x", abi.encodeWithSelector(ISharedErrors.UnknownToken.selector, bytes32("x"))
        );
    }

    function test_posting_needs_an_open_task_of_ones_own() external {
        bytes32 algorithm = mint(bankB, ALGORITHM, list(leaf(user)));
        expectPosting(
            bankB, 1, algorithm, abi.encodeWithSelector(ITaskMarket.TaskNotOpen.selector, 1)
        );
        uint64 foreign = task(bankA);
        expectPosting(
            bankB,
            foreign,
            algorithm,
            abi.encodeWithSelector(ITaskMarket.NotTaskOwner.selector, foreign, bankB)
        );
        uint64 id = task(bankB);
        vm.prank(bankB);
        market.closeTask(id);
        expectPosting(
            bankB, id, algorithm, abi.encodeWithSelector(ITaskMarket.TaskNotOpen.selector, id)
        );
    }

    function test_a_job_needs_a_recorder() external {
        uint64 id = task(bankB);
        vm.prank(bankB);
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        market.postJob(id, "x", address(0), new bytes32[](0));
    }

    // ---- announcing

    /// @dev Acceptance: 77
    function test_the_composites_owner_announces_a_run() external {
        bytes32 data = leaf(user);
        bytes32 composite = granted(bankA, DATA, list(data));
        bytes32 algorithm = granted(bankB, ALGORITHM, list(composite));
        bytes32 job = post(bankB, algorithm, list(composite, data));
        uint256 before = market.counter();
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.JobAnnounced(job, composite, "request");
        vm.prank(bankA);
        market.announce(job, composite, "request");
        assertEq(market.announcements(job, composite), "request");
        assertEq(market.counter(), before);
        vm.prank(bankB);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskMarket.NotTokenOwner.selector, composite, bankB)
        );
        market.announce(job, composite, "forged");
    }

    function test_a_replaced_announcement_bumps_the_counter() external {
        (bytes32 job, bytes32 algorithm,) = simpleJob();
        uint256 before = market.counter();
        vm.prank(bankB);
        market.announce(job, algorithm, "first");
        vm.prank(bankB);
        market.announce(job, algorithm, "first");
        assertEq(market.counter(), before);
        vm.prank(bankB);
        market.announce(job, algorithm, "second");
        assertEq(market.counter(), before + 1);
        vm.prank(bankB);
        market.announce(job, algorithm, 0);
        assertEq(market.announcements(job, algorithm), 0);
        assertEq(market.counter(), before + 2);
    }

    function test_only_an_open_job_is_announced() external {
        (bytes32 job, bytes32 algorithm,) = simpleJob();
        vm.prank(bankB);
        market.pause(job);
        expectStatus(job, 2);
        vm.prank(bankB);
        market.announce(job, algorithm, "request");
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.UnknownJob.selector, bytes32("x")));
        vm.prank(bankB);
        market.announce("x", algorithm, "request");
    }

    // ---- status

    function test_pause_reopen_close() external {
        (bytes32 job,,) = simpleJob();
        uint256 before = market.counter();
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.JobPaused(job, bankB);
        vm.prank(bankB);
        market.pause(job);
        assertEq(market.job(job).status, 2);
        assertEq(market.counter(), before + 1);
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.JobReopened(job, bankB);
        vm.prank(bankB);
        market.reopen(job);
        assertEq(market.job(job).status, 1);
        assertEq(market.counter(), before + 1);
        vm.expectEmit(true, true, true, true);
        emit ITaskMarket.JobClosed(job, bankB);
        vm.prank(bankB);
        market.close(job);
        assertEq(market.job(job).status, 3);
        assertEq(market.counter(), before + 2);
    }

    function test_a_closed_job_stays_closed() external {
        (bytes32 job,,) = simpleJob();
        vm.prank(bankB);
        market.close(job);
        expectStatus(job, 3);
        vm.prank(bankB);
        market.reopen(job);
        expectStatus(job, 3);
        vm.prank(bankB);
        market.pause(job);
        expectStatus(job, 3);
        vm.prank(bankB);
        market.close(job);
    }

    function test_status_changes_follow_the_diagram() external {
        (bytes32 job,,) = simpleJob();
        expectStatus(job, 1);
        vm.prank(bankB);
        market.reopen(job);
        vm.prank(bankB);
        market.pause(job);
        expectStatus(job, 2);
        vm.prank(bankB);
        market.pause(job);
        vm.prank(bankB);
        market.close(job);
        assertEq(market.job(job).status, 3);
    }

    function test_others_cannot_change_a_job() external {
        (bytes32 job,,) = simpleJob();
        expectNotParty(job, bankA);
        market.pause(job);
        expectNotParty(job, user);
        market.reopen(job);
        expectNotParty(job, bankA);
        market.close(job);
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.UnknownJob.selector, bytes32("x")));
        market.pause("x");
        vm.expectRevert(abi.encodeWithSelector(ITaskMarket.UnknownJob.selector, bytes32("x")));
        market.close("x");
    }

    function test_the_algorithms_owner_can_close_but_not_pause() external {
        bytes32 data = leaf(user);
        bytes32 algorithm = granted(user, ALGORITHM, list(data));
        vm.prank(user);
        market.nameGuarantor(algorithm, bankA, true);
        bytes32 job = post(bankA, algorithm, list(data));
        expectNotParty(job, user);
        market.pause(job);
        vm.prank(user);
        market.close(job);
        assertEq(market.job(job).status, 3);
    }

    function test_registries_must_be_given() external {
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        new TaskMarket(IInstitutionRegistry(address(0)), tokens);
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        new TaskMarket(institutions, IDataTokenRegistry(address(0)));
    }
}
