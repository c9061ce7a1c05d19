// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net/netip"

	"github.com/wovensdn/woven/pkg/model"
)

func is4(a netip.Addr) bool { return a.Is4() }
func is6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.Zone() == "" }

func checkAddrs(what string, a model.Addrs) error {
	if a.V4.IsValid() && !is4(a.V4) {
		return invalidf("%s %s is not an IPv4 address", what, a.V4)
	}
	if a.V6.IsValid() && !is6(a.V6) {
		return invalidf("%s %s is not a plain IPv6 address", what, a.V6)
	}
	return nil
}

func checkRanges(what string, ranges []model.Range) error {
	for _, r := range ranges {
		sameFamily := is4(r.First) && is4(r.Last) || is6(r.First) && is6(r.Last)
		if !sameFamily || r.Last.Less(r.First) {
			return invalidf("%s %s..%s is not an ascending range of one IP family", what, r.First, r.Last)
		}
	}
	return nil
}

func checkSubnet(def Subnet) (gatewayMAC string, err error) {
	if def.Name == "" {
		return "", invalidf("a subnet needs a name")
	}
	if p := def.CIDR.V4; p.IsValid() && (!is4(p.Addr()) || p != p.Masked()) {
		return "", invalidf("CIDR %s is not an IPv4 prefix in network form", p)
	}
	if p := def.CIDR.V6; p.IsValid() && (!is6(p.Addr()) || p != p.Masked()) {
		return "", invalidf("CIDR %s is not an IPv6 prefix in network form", p)
	}
	if err := checkAddrs("gateway", def.Gateway); err != nil {
		return "", err
	}
	if err := checkRanges("excluded range", def.Exclude); err != nil {
		return "", err
	}
	for _, p := range def.Pools {
		if err := checkRanges("pool range", p.Ranges); err != nil {
			return "", err
		}
	}
	return normalMAC(def.GatewayMAC)
}

func checkRequest(r Request) error {
	if r.Owner == (model.Ref{}) {
		return invalidf("a request needs an owner")
	}
	if r.IPs.V4.IsValid() && r.Family == model.IPv6 || r.IPs.V6.IsValid() && r.Family == model.IPv4 {
		return invalidf("static address %s requested together with %s only", addrsText(r.IPs), r.Family)
	}
	if err := checkAddrs("static address", r.IPs); err != nil {
		return err
	}
	return checkRanges("requested range", r.Within)
}

func checkRecord(al Allocation) error {
	if al.Owner == (model.Ref{}) || al.Subnet == "" {
		return invalidf("a record needs an owner and a subnet, not %q and %q", al.Owner.Text(), al.Subnet)
	}
	if !al.Addrs.V4.IsValid() && !al.Addrs.V6.IsValid() && al.MAC == "" {
		return invalidf("the record of %s has neither an address nor a MAC", al.Owner.Text())
	}
	return checkAddrs("recorded address", al.Addrs)
}
