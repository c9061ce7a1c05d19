// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/wovensdn/woven/pkg/cniserver/api"
)

// maxResponse is the maximum length of a response in bytes.
const maxResponse = 1 << 20

// call posts a request to the cniserver and decodes its response into out, unless that is nil. Its errors are CNI
// errors.
func call(ctx context.Context, socket, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return types.NewError(types.ErrInternal, "encode request: "+err.Error(), "")
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}
	// The host is not resolved: every connection goes to the socket.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cniserver"+path, bytes.NewReader(body))
	if err != nil {
		return types.NewError(types.ErrInternal, "create request: "+err.Error(), "")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return unreachable(socket, path, err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	// Everything has been read, so the error does not matter.
	_ = resp.Body.Close()
	if err != nil {
		return unreachable(socket, path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(path, resp.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return types.NewError(types.ErrInternal, "the cniserver's response is not JSON: "+err.Error(), "")
	}
	return nil
}

// unreachable is the error for a server that does not run (yet): the runtime should try again.
func unreachable(socket, path string, err error) error {
	return types.NewError(laterCode(path), fmt.Sprintf("cannot connect to the cniserver of this node on %s; is it running?", socket), err.Error())
}

// refusal translates an error response. Temporary errors get the code "try again later".
func refusal(path string, status int, body []byte) error {
	var e api.ErrorResponse
	if err := json.Unmarshal(body, &e); err != nil || e.Error == "" {
		e.Error = strings.TrimSpace(string(body))
	}
	var code uint
	switch status {
	case http.StatusBadRequest:
		code = types.ErrInvalidNetworkConfig
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		code = laterCode(path)
	default:
		code = types.ErrInternal
	}
	return types.NewError(code, e.Error, "")
}

// laterCode is the CNI error code "try again later" or, for STATUS, "the plugin is not available" (CNI specification
// 1.1).
func laterCode(path string) uint {
	if path == api.PathStatus {
		return types.ErrPluginNotAvailable
	}
	return types.ErrTryAgainLater
}
