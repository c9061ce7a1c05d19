// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net/netip"

	"github.com/wovensdn/woven/pkg/model"
)

// assign chooses an address for each requested IP family. It holds nothing.
func (s *subnet) assign(r Request) (model.Addrs, error) {
	var out model.Addrs
	var err error
	if out.V4, err = s.assignFamily(&s.spaces.V4, model.IPv4, r.IPs.V4, r); err != nil {
		return model.Addrs{}, err
	}
	if out.V6, err = s.assignFamily(&s.spaces.V6, model.IPv6, r.IPs.V6, r); err != nil {
		return model.Addrs{}, err
	}
	return out, nil
}

func (s *subnet) assignFamily(sp *space, family model.Family, static netip.Addr, r Request) (netip.Addr, error) {
	switch {
	case static.IsValid():
		return static, s.checkStatic(sp, static)
	case r.Family != model.AnyFamily && r.Family != family:
		return netip.Addr{}, nil
	case !sp.prefix.IsValid() && r.Family == family:
		return netip.Addr{}, invalidf("subnet %s (%s) has no %s", s.def.Name, cidrText(s.def.CIDR), family)
	case !sp.prefix.IsValid():
		return netip.Addr{}, nil
	}
	sp, err := s.family(r.Pool, family)
	if err != nil {
		return netip.Addr{}, err
	}
	within := ofFamily(r.Within, family)
	addr, ok := sp.propose(within)
	if !ok {
		exhausted := &ExhaustedError{Subnet: s.def.Name, Family: family, Within: len(within) > 0, Pool: r.Pool}
		if r.Pool != "" {
			exhausted.Holder = sp.anyHolder()
		}
		return netip.Addr{}, exhausted
	}
	return addr, nil
}

func (s *subnet) checkStatic(sp *space, addr netip.Addr) error {
	if addr == sp.gateway {
		return &GatewayError{Subnet: s.def.Name, Addr: addr}
	}
	if !sp.isHost(addr) {
		return &OutsideError{Subnet: s.def.Name, Addr: addr, CIDR: s.def.CIDR}
	}
	if holder, ok := sp.held[addr]; ok {
		return &ConflictError{Subnet: s.def.Name, IP: addr, Holder: holder.Owner}
	}
	return nil
}

// assignMAC returns the requested MAC, or a free one if none is requested.
func (s *subnet) assignMAC(owner model.Ref, wanted string, source MACSource) (string, error) {
	if wanted != "" {
		return wanted, s.checkMAC(s.def.Name, wanted, owner)
	}
	// A source that repeats itself must not cause an infinite loop. By chance, 64 collisions in a row do not happen in
	// a space of 2^46.
	const attempts = 64
	for attempt := range attempts {
		mac := localMAC(source(s.def.Name, owner.Name, attempt))
		if s.checkMAC(s.def.Name, mac, owner) == nil {
			return mac, nil
		}
	}
	return "", invalidf("no free MAC for %s in subnet %s after %d proposals", owner.Text(), s.def.Name, attempts)
}

func (s *subnet) checkMAC(subnetName, mac string, owner model.Ref) error {
	holder, held := s.macs[mac]
	if held && holder.Owner != owner {
		return &ConflictError{Subnet: subnetName, MAC: mac, Holder: holder.Owner}
	}
	if mac == s.gatewayMAC && !held {
		return &GatewayError{Subnet: subnetName, MAC: mac}
	}
	return nil
}

// checkRecord returns an error if the owner of al may not have it, given its present allocation.
func (s *subnet) checkRecord(al, held Allocation) error {
	if err := s.spaces.V4.checkRecord(al, al.Addrs.V4, held.Addrs.V4); err != nil {
		return err
	}
	if err := s.spaces.V6.checkRecord(al, al.Addrs.V6, held.Addrs.V6); err != nil {
		return err
	}
	if al.MAC == "" {
		return nil
	}
	return s.checkMAC(al.Subnet, al.MAC, al.Owner)
}

func (s *space) checkRecord(al Allocation, addr, own netip.Addr) error {
	if !addr.IsValid() || addr == own {
		return nil
	}
	if holder, ok := s.held[addr]; ok {
		return &ConflictError{Subnet: al.Subnet, IP: addr, Holder: holder.Owner}
	}
	if addr == s.gateway {
		return &GatewayError{Subnet: al.Subnet, Addr: addr}
	}
	return nil
}

func ofFamily(ranges []model.Range, family model.Family) []model.Range {
	var out []model.Range
	for _, r := range ranges {
		if r.First.Is4() == (family == model.IPv4) {
			out = append(out, r)
		}
	}
	return out
}
