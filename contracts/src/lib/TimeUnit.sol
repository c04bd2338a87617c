// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The block's time in seconds, whatever unit the chain counts in
/// @notice PlatON's `block.timestamp` is in milliseconds. A count of seconds passes 1e11 in the
/// year 5138, one of milliseconds did in 1973, so the size tells the unit.
library TimeUnit {
    uint256 private constant LARGEST_SECONDS = 1e11;

    /// @return the time of the current block in seconds
    function nowSeconds() internal view returns (uint64) {
        uint256 time = block.timestamp;
        // slither-disable-next-line timestamp
        return uint64(time > LARGEST_SECONDS ? time / 1000 : time);
    }
}
