// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadMessageFindsTheEnd(t *testing.T) {
	messages := []string{
		`{"id":1,"result":[]}`, `{"a":"}\"{"}`, `{"a":"\\"}`, "\n [\"x\",[{}],\"]\"]", `{"é":"日本"}`,
	}
	stream := strings.Join(messages, "")
	for name, source := range map[string]io.Reader{
		"at once": strings.NewReader(stream), "byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
	} {
		r := bufio.NewReader(source)
		for _, want := range messages {
			got, err := readMessage(r, len(stream))
			if err != nil || string(got) != want {
				t.Fatalf("%s: readMessage = %q, %v; want %q", name, got, err, want)
			}
		}
		if _, err := readMessage(r, 1); !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %v, want EOF", name, err)
		}
	}
	if _, err := readMessage(bufio.NewReader(strings.NewReader(`{"a":`)), 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut message: %v, want unexpected EOF", err)
	}
	if _, err := readMessage(bufio.NewReader(strings.NewReader(`{"a":1}`)), 6); !errors.Is(err, errTooLong) {
		t.Errorf("long message: %v, want too long", err)
	}
}

// The framer and the JSON decoder agree on where an object ends, whatever it holds.
func FuzzReadMessage(f *testing.F) {
	f.Add(`{"a":"}"}`, `{"b":["\\\"",{}]}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		if !json.Valid([]byte(first)) || !json.Valid([]byte(second)) ||
			!strings.HasPrefix(first, "{") || !strings.HasPrefix(second, "{") {
			return
		}
		r := bufio.NewReaderSize(strings.NewReader(first+second), 16)
		for _, want := range []string{first, second} {
			got, err := readMessage(r, len(want)+len(first))
			if err != nil || !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace([]byte(want))) {
				t.Fatalf("readMessage = %q, %v; want %q", got, err, want)
			}
		}
	})
}
