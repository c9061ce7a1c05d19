// SPDX-License-Identifier: Apache-2.0

package model

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParseAddressList(t *testing.T) {
	for text, want := range map[string]struct {
		all  string // the first four
		size int
	}{
		"10.16.0.10":                                           {"10.16.0.10", 1},
		"10.16.0.10, 10.16.0.12 ,10.16.0.11":                   {"10.16.0.10 10.16.0.12 10.16.0.11", 3},
		"10.16.0.10..10.16.0.12,10.16.0.20":                    {"10.16.0.10 10.16.0.11 10.16.0.12 10.16.0.20", 4},
		"10.16.0.255..10.16.1.0":                               {"10.16.0.255 10.16.1.0", 2},
		"fd00::a,fd00::c":                                      {"fd00::a fd00::c", 2},
		"fd00::ffff:ffff:ffff:ffff..fd00:0:0:1::":              {"", 0}, // too long to count in 64 bits, see below
		"10.16.0.10,fd00::10":                                  {"10.16.0.10,fd00::10", 1},
		"fd00::10,10.16.0.10;10.16.0.11,fd00::11":              {"10.16.0.10,fd00::10 10.16.0.11,fd00::11", 2},
		"10.16.0.10..10.16.0.11,fd00::10..fd00::11":            {"10.16.0.10,fd00::10 10.16.0.11,fd00::11", 2},
		"10.16.0.10..10.16.0.11,fd00::10..fd00::11;;":          {"10.16.0.10,fd00::10 10.16.0.11,fd00::11", 2},
		"10.16.0.10;10.16.0.11":                                {"10.16.0.10 10.16.0.11", 2},
		"10.16.0.0..10.16.255.255":                             {"10.16.0.0 10.16.0.1 10.16.0.2 10.16.0.3", maxListed},
		"fd00::ffff:ffff:ffff:fff0..fd00::ffff:ffff:ffff:fff1": {"fd00::ffff:ffff:ffff:fff0 fd00::ffff:ffff:ffff:fff1", 2},
	} {
		list, err := ParseAddressList(text)
		if want.size == 0 {
			if err == nil {
				t.Errorf("%s is accepted", text)
			}
			continue
		}
		var all []string
		for a := range list.All() {
			if all = append(all, AddrsText(a)); len(all) == 4 {
				break
			}
		}
		if got := strings.Join(all, " "); err != nil || got != want.all || list.Len() != want.size {
			t.Errorf("%s is %s, %d of them, %v", text, got, list.Len(), err)
		}
	}
}

func TestAddressListsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "it has no address",
		" , ":                                   "it has no address",
		"10.16.0.10,10.16.0.11,fd00::1":         `it mixes address families; pairs are separated by ";"`,
		"10.16.0.10,10.16.0.11;10.16.0.12":      "both parts have the same IP family",
		"10.16.0.10,fd00::1,fd00::2;10.16.0.12": "has more than one address of an IP family",
		"10.16.0.10..10.16.0.12,fd00::1..fd00::2": "10.16.0.10..10.16.0.12 and fd00::1..fd00::2 have different numbers of addresses",
		"10.16.0.12..10.16.0.10":                  "it ends before it begins",
		"10.16.0.0..10.17.0.0":                    "it has more than 65536 addresses; create an IPPool instead",
		"::1":                                     "is a loopback address",
		"10.0.0.0/24":                             "is not an address",
		"fd00::..fdff:ffff:ffff:ffff:ffff:ffff::1": "it has more than 65536 addresses",
	} {
		if list, err := ParseAddressList(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %s", text, list, err, want)
		}
	}
}

func TestAddressListHolds(t *testing.T) {
	list, err := ParseAddressList("10.16.0.10..10.16.0.11,fd00::10..fd00::11;10.16.0.20")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"10.16.0.10,fd00::10": true, "10.16.0.11,fd00::11": true, "10.16.0.10": true, "fd00::11": true, "10.16.0.20,fd00::99": true, "10.16.0.20": true,
		"10.16.0.10,fd00::11": false, "10.16.0.12": false, "fd00::20": false, "10.16.0.10,fd00::99": false,
	} {
		a, err := ParseAddrs(text)
		if err != nil || list.Holds(a) != want {
			t.Errorf("of %s it says %v, %v", text, !want, err)
		}
	}
	if list.Holds(Addrs{}) {
		t.Error("nothing is in the list")
	}
	if a, ok := list.At(2); !ok || AddrsText(a) != "10.16.0.20" {
		t.Errorf("the third is %v, %v", a, ok)
	}
	for _, n := range []int{-1, 3, math.MaxInt} {
		if a, ok := list.At(n); ok {
			t.Errorf("number %d is %v", n, a)
		}
	}
}

func TestRangeAtCarries(t *testing.T) {
	r := Range{First: netip.MustParseAddr("fd00::ffff:ffff:ffff:ffff"), Last: netip.MustParseAddr("fd00:0:0:2::")}
	if got := r.at(1).String(); got != "fd00:0:0:1::" {
		t.Errorf("the second is %s", got)
	}
	if r.Len() != math.MaxInt {
		t.Errorf("its length is %d", r.Len())
	}
}

func FuzzAddressList(f *testing.F) {
	for _, text := range []string{"10.16.0.10,10.16.0.11", "10.0.0.1..10.0.0.9", "10.0.0.1,fd00::1;10.0.0.2,fd00::2", "10.0.0.1..10.0.0.2,fd00::1..fd00::2", "10.0.0.1;fd00::1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseAddressList(text)
		if err != nil {
			return
		}
		again, err := ParseAddressList(list.String())
		if err != nil || !slices.Equal(again, list) {
			t.Fatalf("%q is %v, which is written as %q and read as %v, %v", text, list, list, again, err)
		}
		n := 0
		for a := range list.All() {
			at, ok := list.At(n)
			if !ok || at != a || !list.Holds(a) || a == (Addrs{}) {
				t.Fatalf("%q: number %d is %v and %v, held %v", text, n, a, at, list.Holds(a))
			}
			if n++; n > 100 {
				break
			}
		}
		if n <= 100 && n != list.Len() {
			t.Fatalf("%q has %d and says %d", text, n, list.Len())
		}
	})
}
