// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IInstitutionRegistry} from "./interfaces/IInstitutionRegistry.sol";
import {Closure} from "./tokens/Closure.sol";
import {Records} from "./tokens/Records.sol";

/// @title Data tokens and the grants between them
/// @dev Records mints, Grants grants and revokes, Closure walks; all storage is theirs.
contract DataTokenRegistry is Closure {
    constructor(IInstitutionRegistry institutions_)
        EIP712("DataToken", "1")
        Records(institutions_)
    {}
}
