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

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 1 << 20

// call posts a request to the cniserver and decodes its answer into out, unless that is nil. Its errors are CNI's.
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
	// The host is never looked up: every connection goes to the socket.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cniserver"+path, bytes.NewReader(body))
	if err != nil {
		return types.NewError(types.ErrInternal, "make request: "+err.Error(), "")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return unreachable(socket, path, err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	// Everything has been read: closing cannot lose anything.
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
		return types.NewError(types.ErrInternal, "the cniserver's answer is not JSON: "+err.Error(), "")
	}
	return nil
}

// unreachable is the error of a server that is not there (yet): the runtime shall try again.
func unreachable(socket, path string, err error) error {
	return types.NewError(laterCode(path), fmt.Sprintf("the cniserver of this node does not answer on %s; is it running?", socket), err.Error())
}

// refusal translates an answer of the server. What is worth trying again gets the code that says so.
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

// laterCode is "try again later", for STATUS "the plugin is not available" (CNI specification 1.1, error codes).
func laterCode(path string) uint {
	if path == api.PathStatus {
		return types.ErrPluginNotAvailable
	}
	return types.ErrTryAgainLater
}
