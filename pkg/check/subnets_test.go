// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"math/big"
	"testing"

	v1 "github.com/wovensdn/woven/api/v1"
)

// The API server returns the number of free addresses of a /64 rounded; a smaller number must be exact.
func TestCountsOfIPv6Subnets(t *testing.T) {
	free := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(5))
	for text, same := range map[string]bool{
		"18446744073709551611": true, "1.8446744073709552e+19": true, "1.8446744073709555e+19": false, "0": false, "18446744073709": false,
	} {
		var stored v1.BigInt
		if err := json.Unmarshal([]byte(text), &stored); err != nil {
			t.Fatal(err)
		}
		if got := sameCount(stored.Int(), free); got != same {
			t.Errorf("%s is the number of free addresses of a /64: %v, want %v", text, got, same)
		}
	}
	if large := big.NewInt(1<<62 + 1); sameCount(big.NewInt(1<<62), large) || !sameCount(large, large) {
		t.Error("numbers that the API server keeps are not compared exactly")
	}
}

// Addresses of spec.vips are not available, once each.
func TestVIPsAreNotAvailable(t *testing.T) {
	s := healthy(t)
	s.Objects.Subnets[0].Spec.Vips = []string{"10.16.0.200", "10.16.0.1", "10.16.0.200"}
	s.Objects.Subnets[0].Status.V4AvailableIPs = v1.BigIntOf(65530)
	if found := compared(t, s); len(found) > 0 {
		t.Errorf("differences: %v", found)
	}
}
