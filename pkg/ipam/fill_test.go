// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

func TestComplete(t *testing.T) {
	a := New()
	if _, err := a.Complete(ipRef("nobody")); !errors.Is(err, ErrInvalid) {
		t.Errorf("nobody: %v", err)
	}
	address := model.Addrs{V4: netip.MustParseAddr("10.0.0.9")}
	for _, al := range []Allocation{
		{Subnet: "s", Owner: ipRef("address"), Addrs: address},
		{Subnet: "s", Owner: ipRef("mac"), MAC: "02:00:00:00:00:01"},
	} {
		if err := a.Record(al); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Complete(ipRef("mac")); !errors.Is(err, ErrNoSubnet) {
		t.Errorf("without a subnet: %v", err)
	}
	if err := a.SetSubnet(Subnet{Name: "s", CIDR: model.Prefixes{V4: netip.MustParsePrefix("10.0.0.0/28")}}); err != nil {
		t.Fatal(err)
	}
	first, err := a.Complete(ipRef("address"))
	if err != nil || first.Addrs != address || first.MAC == "" {
		t.Errorf("a record with an address: %+v, %v", first, err)
	}
	second, err := a.Complete(ipRef("mac"))
	if err != nil || second.Addrs.V4 != netip.MustParseAddr("10.0.0.1") || second.MAC != "02:00:00:00:00:01" {
		t.Errorf("a record with a MAC: %+v, %v", second, err)
	}
	if again, err := a.Complete(ipRef("mac")); err != nil || again != second {
		t.Errorf("again: %+v, %v", again, err)
	}
	if owner, _ := a.Holder("s", first.Addrs.V4); owner != ipRef("address") {
		t.Errorf("%s is held by %q", first.Addrs.V4, owner)
	}
}
