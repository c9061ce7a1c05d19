// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"time"
)

// SCTPSource is the port that [Associate] sends from.
const SCTPSource = 40132

// Associate sends an SCTP INIT to an address every 200 ms, until ctx ends. It builds the packets itself, because not
// every kernel has SCTP sockets, and does not read replies.
func Associate(ctx context.Context, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address: %w", err)
	}
	network := map[bool]string{true: "ip4:132", false: "ip6:132"}[to.Addr().Is4()]
	conn, err := (&net.Dialer{}).DialContext(ctx, network, to.Addr().String())
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		// Write reports an ICMP error for an earlier packet here: continue with the next one.
		_, _ = conn.Write(sctpInit(to.Port()))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sctpInit is a packet with one INIT chunk (RFC 9260 §3.1, §3.3.2).
func sctpInit(port uint16) []byte {
	const chunk = 20
	b := binary.BigEndian.AppendUint16(nil, SCTPSource)
	b = binary.BigEndian.AppendUint16(b, port)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // verification tag, which INIT has none of; checksum
	b = append(b, 1, 0, 0, chunk)
	b = binary.BigEndian.AppendUint32(b, 0x776f7665) // initiate tag
	b = binary.BigEndian.AppendUint32(b, 65535)      // window
	b = append(b, 0, 1, 0, 1)                        // streams out and in
	b = binary.BigEndian.AppendUint32(b, 1)          // first TSN
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}
