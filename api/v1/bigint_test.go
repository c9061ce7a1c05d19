// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"encoding/json"
	"math/big"
	"testing"

	v1 "github.com/wovensdn/woven/api/v1"
)

func TestBigIntKeepsEveryDigit(t *testing.T) {
	slash64 := new(big.Int).Lsh(big.NewInt(1), 64)
	all := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, n := range []*big.Int{
		new(big.Int), big.NewInt(1), big.NewInt(-7), big.NewInt(1 << 53),
		new(big.Int).Sub(slash64, big.NewInt(3)), all,
	} {
		status := v1.SubnetStatus{V6AvailableIPs: v1.NewBigInt(n)}
		text, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		var raw struct {
			N json.RawMessage `json:"v6availableIPs"`
		}
		if err := json.Unmarshal(text, &raw); err != nil {
			t.Fatal(err)
		}
		if string(raw.N) != n.String() {
			t.Errorf("%s is written as %s", n, raw.N)
		}
		var back v1.SubnetStatus
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if back.V6AvailableIPs.Int().Cmp(n) != 0 || back.V6AvailableIPs != status.V6AvailableIPs {
			t.Errorf("%s is read back as %s", n, back.V6AvailableIPs)
		}
	}
}

func TestBigIntReads(t *testing.T) {
	good := map[string]string{
		"0": "0", "null": "0", "-0": "0", `""`: "0",
		"42": "42", `"42"`: "42", " 7 ": "7",
		"1.8446744073709552e+19": "18446744073709552000",
		"1.5e1":                  "15",
		"100E-2":                 "1",
	}
	for text, want := range good {
		var b v1.BigInt
		if err := b.UnmarshalJSON([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if b.String() != want {
			t.Errorf("%s is read as %s, not %s", text, b, want)
		}
	}
	for _, text := range []string{"1.5", "1e999999999", "1e-70", "0x10", "1/2", "Inf", `"ten"`, "true", "{}", `"1`, "1_000"} {
		var b v1.BigInt
		if err := b.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s is read as %s, want an error", text, b)
		}
	}
}

func TestBigIntThatIsNoNumber(t *testing.T) {
	if _, err := json.Marshal(v1.BigInt("ten")); err == nil {
		t.Error("BigInt(ten) marshals, want an error")
	}
	if n := v1.BigInt("ten").Int(); n.Sign() != 0 {
		t.Errorf("BigInt(ten) counts as %s, not 0", n)
	}
	if v1.NewBigInt(nil) != v1.BigIntOf(0) {
		t.Error("nil and 0 differ")
	}
}

func FuzzBigInt(f *testing.F) {
	for _, seed := range []string{"0", "1.8e+19", `"5"`, "1e64", "-", "e", "1e1e1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b, back v1.BigInt
		if b.UnmarshalJSON(data) != nil {
			return
		}
		text, err := b.MarshalJSON()
		if err != nil {
			t.Fatalf("%q is read but not written: %v", data, err)
		}
		if err := back.UnmarshalJSON(text); err != nil || back != b {
			t.Fatalf("%q is written as %s and read as %q: %v", data, text, back, err)
		}
	})
}
