// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "github.com/wovensdn/woven/api/v1"
)

// IPPool reserves addresses of a subnet for the pods that name it.
type IPPool struct {
	Meta
	Subnet     string
	Namespaces []string
	Ranges     []Range // sorted, IPv4 first; those that overlap are joined
	AddressSet bool
}

// IPPoolFrom projects an IPPool. Addresses that do not parse are fatal: the addresses that the pool reserves must not
// be allocated to others.
func IPPoolFrom(o *v1.IPPool) (IPPool, []Problem) {
	p := problems{reason: ReasonIPPoolInvalid}
	pool := IPPool{
		Meta: metaOf(o), Subnet: o.Spec.Subnet, AddressSet: o.Spec.EnableAddressSet,
		Namespaces: slices.Clone(o.Spec.Namespaces),
	}
	if cause := notAName(pool.Subnet); cause != "" {
		p.fatal("spec.subnet", "%s is not the name of a Subnet: %s", quote(pool.Subnet), cause)
	}
	if len(o.Spec.IPs) == 0 {
		p.fatal("spec.ips", "it is empty: a pool has at least one address")
	}
	for i, text := range o.Spec.IPs {
		r, err := parsePoolRange(text)
		if err != nil {
			p.fatal(fmt.Sprintf("spec.ips[%d]", i), "%s: %s", quote(text), err)
			continue
		}
		pool.Ranges = append(pool.Ranges, r)
	}
	pool.Ranges = joinOverlapping(pool.Ranges)
	p.unsupported(KindIPPool, o, &o.Spec)
	return pool, p.list
}

// parsePoolRange parses an address, a range "a..b" or a CIDR.
func parsePoolRange(text string) (Range, error) {
	text = strings.TrimSpace(text)
	var r Range
	var err error
	if strings.Contains(text, "/") {
		var prefix netip.Prefix
		if prefix, err = parsePrefix(text); err == nil {
			r = Range{First: prefix.Masked().Addr(), Last: lastAddr(prefix)}
		}
	} else {
		r, err = ParseRange(text)
	}
	if err != nil {
		return Range{}, err
	}
	for _, end := range []netip.Addr{r.First, r.Last} {
		if cause := notUnicast(end); cause != nil {
			return Range{}, fmt.Errorf("%s %w", end, cause)
		}
	}
	return r, nil
}

// Has reports whether one of the addresses is in the pool.
func (p *IPPool) Has(a Addrs) bool {
	return slices.ContainsFunc(Families(a), func(addr netip.Addr) bool {
		return slices.ContainsFunc(p.Ranges, func(r Range) bool { return r.Contains(addr) })
	})
}

// HasAll reports whether all of the addresses, and at least one, are in the pool.
func (p *IPPool) HasAll(a Addrs) bool {
	for _, addr := range Families(a) {
		if !slices.ContainsFunc(p.Ranges, func(r Range) bool { return r.Contains(addr) }) {
			return false
		}
	}
	return a != Addrs{}
}

// PoolProblem returns why a pool cannot be used: it has addresses outside of its subnet, or of an older pool of it. Of
// two of the same second the one whose name sorts first is the older one.
func PoolProblem(pool *IPPool, cidr Prefixes, pools []*IPPool) (Problem, bool) {
	p := problems{reason: ReasonIPPoolInvalid}
	for _, r := range pool.Ranges {
		if prefix := cidr.Of(r.First); !prefix.IsValid() || !prefix.Contains(r.First) || !prefix.Contains(r.Last) {
			p.fatal("spec.ips", "%s is not inside %s, the CIDR of Subnet %s", r, PrefixesText(cidr), pool.Subnet)
			return p.list[0], true
		}
	}
	for _, other := range pools {
		if other.Name == pool.Name || other.Subnet != pool.Subnet || Older(pool.Meta, other.Meta) {
			continue
		}
		if mine, theirs, shared := overlapping(pool.Ranges, other.Ranges); shared {
			p.fatal("spec.ips", "%s overlaps %s of IPPool %s; the older one, %s, keeps its addresses", mine, theirs, other.Name, other.Name)
			return p.list[0], true
		}
	}
	return Problem{}, false
}

// overlapping returns the first two ranges of sorted lists that share an address.
func overlapping(a, b []Range) (mine, theirs Range, shared bool) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].Last.Less(b[j].First):
			i++
		case b[j].Last.Less(a[i].First):
			j++
		default:
			return a[i], b[j], true
		}
	}
	return Range{}, Range{}, false
}

// RangePrefixes returns the prefixes that a range consists of, in order.
func RangePrefixes(r Range) []netip.Prefix {
	var out []netip.Prefix
	for first := r.First; first.IsValid() && !r.Last.Less(first); {
		bits := first.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(first, bits-1)
			if wider.Masked().Addr() != first || r.Last.Less(lastAddr(wider)) {
				break
			}
			bits--
		}
		prefix := netip.PrefixFrom(first, bits)
		out = append(out, prefix)
		first = lastAddr(prefix).Next()
	}
	return out
}

// SetNames returns the names of the address sets of a pool, IPv4 first; none if it has none. They are Kube-OVN's names,
// which users have in their ACLs: "-" becomes ".". A match compares addresses of one IP family, so a set has one: for a
// dual-stack pool, the set with the suffix ".ip6" has the IPv6 addresses. A name must not begin with a digit
// (ovn-nb(5), Address_Set): such a name gets the prefix "_".
func (p *IPPool) SetNames() []string {
	if !p.AddressSet {
		return nil
	}
	name := strings.ReplaceAll(p.Name, "-", ".")
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	if p.Ranges[0].First.Is4() && !p.Ranges[len(p.Ranges)-1].First.Is4() {
		return []string{name, name + ".ip6"}
	}
	return []string{name}
}

// PoolSetTaken reports whether an older pool, or one of the same second whose name sorts first, has an address set of
// this name.
func PoolSetTaken(pool *IPPool, name string, others []*IPPool) (Problem, bool) {
	p := problems{reason: ReasonIPPoolInvalid}
	for _, other := range others {
		if other.Name != pool.Name && Older(other.Meta, pool.Meta) {
			p.warn("spec.enableAddressSet", "the address set %s is that of IPPool %s, whose name differs only in - and .", name, other.Name)
			return p.list[0], true
		}
	}
	return Problem{}, false
}
