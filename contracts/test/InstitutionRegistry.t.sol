// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IInstitutionRegistry} from "../src/interfaces/IInstitutionRegistry.sol";
import {ISharedErrors} from "../src/interfaces/ISharedErrors.sol";
import {Fixture} from "./utils/Fixture.sol";

contract InstitutionRegistryTest is Fixture {
    function two(address a, address b) private pure returns (address[] memory all) {
        all = new address[](2);
        (all[0], all[1]) = (a, b);
    }

    /// @dev Acceptance: 1, 92
    function test_deployer_is_administrator_and_hands_over_in_two_steps() external {
        assertEq(institutions.owner(), admin);
        assertEq(operations.owner(), admin);
        vm.prank(admin);
        institutions.transferOwnership(bankA);
        assertEq(institutions.owner(), admin);
        vm.prank(bankA);
        institutions.acceptOwnership();
        assertEq(institutions.owner(), bankA);
    }

    /// @dev Acceptance: 2, 92
    function test_institution_is_a_name_with_an_account() external view {
        (string memory name, bool active) = institutions.institution(bankA);
        assertEq(name, "Bank A");
        assertTrue(active, "active");
        assertTrue(institutions.isInstitution(bankA), "institution");
        assertTrue(institutions.isParticipant(bankA), "participant");
    }

    /// @dev Acceptance: 37
    function test_only_the_administrator_adds_and_removes_institutions() external {
        bytes memory refusal =
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, bankA);
        vm.prank(bankA);
        vm.expectRevert(refusal);
        institutions.addInstitution(stranger, "Impostor");
        vm.prank(bankA);
        vm.expectRevert(refusal);
        institutions.removeInstitution(bankB);
    }

    function test_institution_needs_account_name_and_is_added_once() external {
        vm.prank(admin);
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        institutions.addInstitution(address(0), "Nobody");
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NameLength.selector, 0, 128));
        institutions.addInstitution(stranger, "");
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NameLength.selector, 129, 128));
        institutions.addInstitution(stranger, string(new bytes(129)));
        vm.prank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IInstitutionRegistry.InstitutionExists.selector, bankA)
        );
        institutions.addInstitution(bankA, "Bank A again");
    }

    function test_removal_bumps_the_counter_keeps_the_name_and_ends_its_users() external {
        uint256 before = institutions.counter();
        vm.prank(admin);
        institutions.removeInstitution(bankA);
        assertEq(institutions.counter(), before + 1);
        (string memory name, bool active) = institutions.institution(bankA);
        assertEq(name, "Bank A");
        assertEq(active, false);
        assertEq(institutions.isParticipant(bankA), false);
        assertEq(institutions.isParticipant(user), false);
        assertEq(institutions.enroller(user), bankA);
        vm.prank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IInstitutionRegistry.UnknownInstitution.selector, bankA)
        );
        institutions.removeInstitution(bankA);
    }

    function test_an_institution_brought_back_has_its_users_again() external {
        vm.prank(admin);
        institutions.removeInstitution(bankA);
        vm.prank(admin);
        institutions.addInstitution(bankA, "Bank A");
        assertTrue(institutions.isParticipant(user), "user is back");
    }

    /// @dev Acceptance: 39, 68
    function test_an_institution_not_the_administrator_enrols_users() external {
        enrol(bankB, stranger);
        assertEq(institutions.enroller(stranger), bankB);
        assertTrue(institutions.isParticipant(stranger), "participant");
        assertEq(institutions.isInstitution(stranger), false);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NotInstitution.selector, admin));
        institutions.enrolUser(recorder);
        vm.prank(user);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NotInstitution.selector, user));
        institutions.enrolUsers(two(recorder, relayer));
    }

    function test_enrolling_and_removing_many() external {
        vm.prank(bankB);
        institutions.enrolUsers(two(recorder, relayer));
        assertTrue(institutions.isParticipant(recorder), "first");
        assertTrue(institutions.isParticipant(relayer), "second");
        uint256 before = institutions.counter();
        vm.prank(bankB);
        institutions.removeUsers(two(recorder, relayer));
        assertEq(institutions.isParticipant(recorder), false);
        assertEq(institutions.isParticipant(relayer), false);
        assertEq(institutions.counter(), before + 1);
    }

    function test_batches_are_bounded() external {
        address[] memory many = new address[](1025);
        bytes memory refusal =
            abi.encodeWithSelector(ISharedErrors.BatchTooLarge.selector, 1025, 1024);
        vm.prank(bankA);
        vm.expectRevert(refusal);
        institutions.enrolUsers(many);
        vm.prank(bankA);
        vm.expectRevert(refusal);
        institutions.removeUsers(many);
    }

    function test_a_stranger_cannot_move_the_counter_with_an_empty_list() external {
        uint256 before = institutions.counter() + tokens.counter();
        vm.prank(stranger);
        institutions.removeUsers(new address[](0));
        vm.prank(stranger);
        tokens.revokeMany(new bytes32[](0), "x");
        assertEq(institutions.counter() + tokens.counter(), before);
    }

    function test_zero_address_is_never_a_participant() external {
        vm.prank(bankA);
        vm.expectRevert(ISharedErrors.ZeroAddress.selector);
        institutions.enrolUser(address(0));
        assertEq(institutions.isParticipant(address(0)), false);
        assertEq(institutions.isParticipant(stranger), false);
    }

    function test_a_rival_institution_cannot_take_or_remove_a_user() external {
        vm.prank(bankB);
        vm.expectRevert(
            abi.encodeWithSelector(IInstitutionRegistry.UserExists.selector, user, bankA)
        );
        institutions.enrolUser(user);
        vm.prank(bankB);
        vm.expectRevert(
            abi.encodeWithSelector(IInstitutionRegistry.NotEnroller.selector, user, bankB)
        );
        institutions.removeUser(user);
    }

    function test_a_removed_institution_does_not_hold_its_users_back() external {
        vm.prank(admin);
        institutions.removeInstitution(bankA);
        enrol(bankB, user);
        assertEq(institutions.enroller(user), bankB);
        assertTrue(institutions.isParticipant(user), "participant");
        vm.prank(bankA);
        vm.expectRevert(abi.encodeWithSelector(ISharedErrors.NotInstitution.selector, bankA));
        institutions.enrolUser(stranger);
    }

    function test_removing_a_user_bumps_the_counter() external {
        uint256 before = institutions.counter();
        vm.prank(bankA);
        institutions.removeUser(user);
        assertEq(institutions.counter(), before + 1);
        assertEq(institutions.isParticipant(user), false);
        assertEq(institutions.enroller(user), address(0));
    }

    function test_events() external {
        vm.expectEmit(true, true, true, true);
        emit IInstitutionRegistry.InstitutionAdded(stranger, "Bank C");
        vm.prank(admin);
        institutions.addInstitution(stranger, "Bank C");
        vm.expectEmit(true, true, true, true);
        emit IInstitutionRegistry.UserEnrolled(recorder, stranger);
        enrol(stranger, recorder);
        vm.expectEmit(true, true, true, true);
        emit IInstitutionRegistry.UserRemoved(recorder, stranger);
        vm.prank(stranger);
        institutions.removeUser(recorder);
        vm.expectEmit(true, true, true, true);
        emit IInstitutionRegistry.InstitutionRemoved(stranger);
        vm.prank(admin);
        institutions.removeInstitution(stranger);
    }
}
