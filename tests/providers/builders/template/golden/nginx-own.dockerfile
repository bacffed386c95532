# nginx · nginx.conf
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM nginx:stable
RUN mkdir -p /var/cache/nginx /var/lib/nginx /var/log/nginx && chown -R 10001:10001 /var/cache/nginx /var/lib/nginx /var/log/nginx
COPY --chown=10001:10001 [".", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PORT=8080
EXPOSE 8080
CMD ["/bin/bash", "-c", "sed -E \"s#\\{\\{ ?(port|env \\\"PORT\\\") ?\\}\\}#$PORT#g; s#\\{\\{ ?tempDir ?\\}\\}#/tmp#g\" nginx.conf > orca.conf && exec nginx -p /app/ -c /app/orca.conf -g 'pid /tmp/nginx.pid; error_log stderr;'"]
# ---
# kind nginx, web, port 8080, because of nginx.conf
