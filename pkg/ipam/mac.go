package ipam

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
)

type mac [6]byte

func (m mac) String() string { return net.HardwareAddr(m[:]).String() }

// MACSource proposes the MAC of an owner's port; attempt counts the proposals
// that were taken already. Bits of the first octet are corrected by the caller.
type MACSource func(subnet, owner string, attempt int) [6]byte

// HashMAC is the default [MACSource]: a hash of subnet, owner and attempt, so
// that a proposal depends on nothing but its input.
func HashMAC(subnet, owner string, attempt int) [6]byte {
	h := sha256.New()
	for _, part := range []string{subnet, owner} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash never fails to write
		h.Write([]byte(part))
	}
	_ = binary.Write(h, binary.BigEndian, int64(attempt))
	return [6]byte(h.Sum(nil)[:6])
}

// local makes m a locally administered unicast address (IEEE 802-2014, 8.4).
func (m mac) local() mac {
	m[0] = m[0]&^0x01 | 0x02
	return m
}

// parseMAC accepts a 48-bit unicast address other than 00:00:00:00:00:00.
func parseMAC(text string) (mac, error) {
	hw, err := net.ParseMAC(text)
	if err != nil {
		return mac{}, fmt.Errorf("%w: parse MAC %q: %w", ErrInvalid, text, err)
	}
	if len(hw) != len(mac{}) {
		return mac{}, invalidf("MAC %q has %d octets instead of 6", text, len(hw))
	}
	m := mac(hw)
	if m[0]&1 != 0 || m == (mac{}) {
		return mac{}, invalidf("MAC %q is not a unicast address", text)
	}
	return m, nil
}
