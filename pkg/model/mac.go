// SPDX-License-Identifier: Apache-2.0

package model

import (
	"encoding/hex"
	"errors"
	"strings"
)

const (
	macOctets = 6
	macLength = 3*macOctets - 1 // of the text
)

// ParseMAC parses a 48-bit unicast MAC, six pairs of hexadecimal digits separated by colons or hyphens, and returns it
// in the format of [MACText].
func ParseMAC(text string) (string, error) {
	text = strings.TrimSpace(text)
	mac, ok := decodeMAC(text)
	switch {
	case !ok:
		return "", errors.New("not a MAC address such as 00:00:00:6f:a1:02")
	case mac[0]&1 != 0:
		return "", errors.New("a group address cannot belong to one interface (IEEE 802, bit 0 of the first octet)")
	case mac == [macOctets]byte{}:
		return "", errors.New("all octets are zero")
	}
	return MACText(mac), nil
}

func decodeMAC(text string) (mac [macOctets]byte, ok bool) {
	if len(text) != macLength || text[2] != ':' && text[2] != '-' {
		return mac, false
	}
	for i := range macOctets {
		pair := text[3*i : 3*i+2]
		if _, err := hex.Decode(mac[i:i+1], []byte(pair)); err != nil {
			return mac, false
		}
		if i > 0 && text[3*i-1] != text[2] {
			return mac, false
		}
	}
	return mac, true
}

// MACText formats a MAC in lower case with colons.
func MACText(mac [macOctets]byte) string {
	text := make([]byte, 0, macLength+1)
	for _, octet := range mac {
		text = append(hex.AppendEncode(text, []byte{octet}), ':')
	}
	return string(text[:macLength])
}
