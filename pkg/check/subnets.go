// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// subnets compares the counters of each status with the IP objects.
func (c *comparison) subnets() {
	used := map[string][]netip.Addr{}
	for _, ip := range c.record {
		addrs, err := model.ParseAddrs(addrsOf(ip))
		if err == nil {
			used[ip.Spec.Subnet] = append(used[ip.Spec.Subnet], model.Families(addrs)...)
		}
	}
	for _, name := range sortedKeys(used) {
		if c.subnet[name] == nil {
			c.differ(checkAPI, "%d addresses of IP objects are in Subnet %s, which does not exist", len(used[name]), orNone(name))
		}
	}
	for _, name := range sortedKeys(c.subnet) {
		object := c.subnet[name]
		projected, problems := model.SubnetFrom(object)
		if model.Fatal(problems) || object.DeletionTimestamp != nil {
			continue
		}
		c.counters(&projected, projected.CIDR.V4, used[name], object.Status.V4UsingIPs, object.Status.V4AvailableIPs, "v4")
		c.counters(&projected, projected.CIDR.V6, used[name], object.Status.V6UsingIPs, object.Status.V6AvailableIPs, "v6")
	}
}

func (c *comparison) counters(s *model.Subnet, cidr netip.Prefix, used []netip.Addr, using, available v1.BigInt, family string) {
	want, free := int64(0), new(big.Int)
	if cidr.IsValid() {
		hosts := model.HostRange(cidr)
		free = size(hosts)
		excluded := unallocated(s)
		for _, r := range excluded {
			if cidr.Contains(r.First) {
				free.Sub(free, size(clip(r, hosts)))
			}
		}
		for _, a := range used {
			if hosts.Contains(a) && !inRanges(excluded, a) {
				want++
			}
		}
		free.Sub(free, big.NewInt(want))
	}
	if using.String() != fmt.Sprint(want) {
		c.differ(checkCounter, "Subnet %s: status.%susingIPs is %s, IP objects use %d", s.Name, family, using.String(), want)
	}
	if !sameCount(available.Int(), free) {
		c.differ(checkCounter, "Subnet %s: status.%savailableIPs is %s, CIDR, excludeIps, vips and IP objects leave %s", s.Name, family, available.String(), free)
	}
}

// unallocated are spec.excludeIps and the spec.vips outside of them: ranges that do not overlap.
func unallocated(s *model.Subnet) (out []model.Range) {
	for _, r := range s.Unallocated() {
		if !inRanges(out, r.First) {
			out = append(out, r)
		}
	}
	return out
}

func inRanges(ranges []model.Range, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r model.Range) bool { return r.Contains(a) })
}

// sameCount reports whether a count in a status is want. The API server keeps a number of a custom resource above 2^63
// as a 64-bit float.
func sameCount(got, want *big.Int) bool {
	if want.IsInt64() {
		return got.Cmp(want) == 0
	}
	a, _ := new(big.Float).SetInt(got).Float64()
	b, _ := new(big.Float).SetInt(want).Float64()
	return a == b
}

// size is the number of addresses in a range.
func size(r model.Range) *big.Int {
	if !r.First.IsValid() || r.Last.Less(r.First) {
		return new(big.Int)
	}
	first, last := new(big.Int).SetBytes(r.First.AsSlice()), new(big.Int).SetBytes(r.Last.AsSlice())
	return last.Sub(last, first).Add(last, big.NewInt(1))
}

// clip is the intersection of r and bounds.
func clip(r, bounds model.Range) model.Range {
	if r.First.Less(bounds.First) {
		r.First = bounds.First
	}
	if bounds.Last.Less(r.Last) {
		r.Last = bounds.Last
	}
	return r
}

// holders are the ports with an address: subnet and address → name of the port → the source of this information.
type holders map[[2]string]map[string]string

func (h holders) add(subnet, address, port, where string) {
	if subnet == "" || address == "" {
		return
	}
	key := [2]string{subnet, address}
	if h[key] == nil {
		h[key] = map[string]string{}
	}
	h[key][port] = where
}

// addresses finds addresses and MACs that two ports of one subnet have, in annotations, IP objects or the northbound
// database.
func (c *comparison) addresses() {
	all := holders{}
	for name, ip := range c.record {
		addrs, _ := model.ParseAddrs(addrsOf(ip))
		for _, a := range model.Families(addrs) {
			all.add(ip.Spec.Subnet, a.String(), name, "IP object "+name)
		}
		all.add(ip.Spec.Subnet, strings.ToLower(ip.Spec.MacAddress), name, "IP object "+name)
	}
	for name, port := range c.ports {
		if !marked(port.ExternalIDs) {
			continue
		}
		for _, element := range port.Addresses {
			for _, word := range strings.Fields(element) {
				if isAddress(word) {
					all.add(c.switchOf[port.UUID], word, name, "NB port "+name)
				}
			}
		}
	}
	for name, n := range c.nics {
		for _, a := range model.Families(n.addrs) {
			all.add(n.subnet, a.String(), name, n.String())
		}
		if n.allocated {
			all.add(n.subnet, n.mac, name, n.String())
		}
	}
	for _, s := range c.subnet {
		projected, _ := model.SubnetFrom(s)
		for _, a := range model.Families(projected.Gateway) {
			all.add(s.Name, a.String(), "", "the gateway")
		}
	}
	for key, ports := range all {
		if len(ports) > 1 {
			c.differ(checkAddress, "%s of Subnet %s belongs to %s", key[1], key[0], strings.Join(slices.Sorted(maps.Values(ports)), " and to "))
		}
	}
}

func isAddress(word string) bool {
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	_, err := net.ParseMAC(word)
	return err == nil
}

// portAddresses is the element of Logical_Switch_Port.addresses for these addresses (ovn-nb(5)).
func portAddresses(mac string, addrs model.Addrs) string {
	words := []string{mac}
	for _, a := range model.Families(addrs) {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

func addressesOf(port *nb.LogicalSwitchPort) string {
	return orNone(strings.Join(port.Addresses, ", "))
}
