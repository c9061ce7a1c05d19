// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
)

// tap opens a packet socket on a link of the node, as OVS's userspace datapath does.
func tap(t *testing.T, name string) int {
	t.Helper()
	proto := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	index := link(t, hostHandle(t), name).Attrs().Index
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// until reads frames until one is wanted.
func until(t *testing.T, fd int, what string, wanted func(frame []byte) bool) []byte {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
		if frame := buf[:n]; wanted(frame) {
			return slices.Clone(frame)
		}
	}
}

func TestAnnounceIsSeenOnTheNode(t *testing.T) {
	pod := plumbtest.NewPod(t, "announce")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req := request(pod)
	res := mustAdd(t, p, req)
	fd := tap(t, res.HostIf)
	mustAdd(t, p, req)
	arp := until(t, fd, "gratuitous ARP", func(f []byte) bool { return binary.BigEndian.Uint16(f[12:]) == unix.ETH_P_ARP })
	if !bytes.Equal(arp[28:32], []byte{10, 16, 0, 5}) || !bytes.Equal(arp[38:42], []byte{10, 16, 0, 5}) || !bytes.Equal(arp[22:28], req.Network.MAC) {
		t.Errorf("ARP %x", arp)
	}
	na := until(t, fd, "neighbour advertisement", func(f []byte) bool {
		return binary.BigEndian.Uint16(f[12:]) == unix.ETH_P_IPV6 && f[20] == unix.IPPROTO_ICMPV6 && f[54] == 136
	})
	src, dst := netip.AddrFrom16([16]byte(na[22:38])), netip.AddrFrom16([16]byte(na[38:54]))
	if src.String() != "fd00::5" || dst.String() != "ff02::1" || !bytes.Equal(na[80:86], req.Network.MAC) {
		t.Errorf("NA %x", na)
	}
	// The sum over a message that includes its right checksum is zero.
	if sum := icmpv6Checksum(src, dst, na[54:]); sum != 0 {
		t.Errorf("checksum is off by %#x", sum)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
}

// TestUserspaceDatapath: the node's stack must not see what the pod sends, a packet socket must, and checksums must be
// filled in by the sender.
func TestUserspaceDatapath(t *testing.T) {
	pod := plumbtest.NewPod(t, "userspace")
	p, sw := newPlumber(t, ovs.UserspaceDatapath)
	autoInstall(t, sw)
	req := request(pod)
	res := mustAdd(t, p, req)
	h := hostHandle(t)
	host := link(t, h, res.HostIf)
	if err := h.AddrAdd(host, &netlink.Addr{IPNet: &net.IPNet{IP: net.IP{10, 16, 0, 1}, Mask: net.CIDRMask(16, 32)}}); err != nil {
		t.Fatal(err)
	}
	neigh := &netlink.Neigh{LinkIndex: link(t, pod.Handle, "eth0").Attrs().Index, IP: net.IP{10, 16, 0, 1}, HardwareAddr: res.HostMAC, State: netlink.NUD_PERMANENT}
	if err := pod.Handle.NeighSet(neigh); err != nil {
		t.Fatal(err)
	}
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{10, 16, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	client := dialFrom(t, pod, server.LocalAddr().(*net.UDPAddr))
	fd := tap(t, res.HostIf)

	send(t, client, "first")
	frame := until(t, fd, "the first datagram", func(f []byte) bool { return bytes.HasSuffix(f, []byte("first")) })
	if got := udpSum(frame); got != 0 {
		t.Errorf("the pod sent a UDP checksum that is off by %#x: offload is on", got)
	}
	if err := (Userspace{}).Release(res.HostIf); err != nil {
		t.Fatal(err)
	}
	send(t, client, "second")
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := server.Read(buf)
	if err != nil || string(buf[:n]) != "second" {
		t.Fatalf("the node's stack got %q, %v; want only what was sent after the release", buf[:n], err)
	}
	assertOffloadOff(t, pod)
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func dialFrom(t *testing.T, pod *plumbtest.Pod, to *net.UDPAddr) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	inside(t, pod, func() (err error) { conn, err = net.DialUDP("udp4", nil, to); return err })
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, c *net.UDPConn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// udpSum verifies the checksum of an IPv4 UDP frame; 0 is right.
func udpSum(frame []byte) uint16 {
	ip, udp := frame[14:34], frame[34:]
	length := binary.BigEndian.Uint16(udp[4:])
	data := slices.Concat(ip[12:20], []byte{0, unix.IPPROTO_UDP}, udp[4:6], udp[:length], []byte{0})
	var sum uint32
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func assertOffloadOff(t *testing.T, pod *plumbtest.Pod) {
	t.Helper()
	var tool *ethtool.Ethtool
	inside(t, pod, func() (err error) { tool, err = ethtool.NewEthtool(); return err })
	defer tool.Close()
	features, err := tool.Features("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation"} {
		if features[name] {
			t.Errorf("%s is on", name)
		}
	}
}
