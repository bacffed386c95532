# .NET 8.0 (ASP.NET Core) · shop.csproj
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM mcr.microsoft.com/dotnet/sdk:9.0 AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.nuget/packages \
    dotnet publish 'shop.csproj' --configuration Release --output /out

FROM mcr.microsoft.com/dotnet/aspnet:8.0
COPY --from=build --chown=10001:10001 ["/out/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV DOTNET_ENVIRONMENT=Production DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=true HOME=/tmp
ENV ASPNETCORE_FORWARDEDHEADERS_ENABLED=true
ENV PORT=8080
EXPOSE 8080
CMD ["/bin/bash", "-c", "ASPNETCORE_URLS=http://0.0.0.0:$PORT exec /app/shop"]
# ---
# kind dotnet, web, port 8080, because of shop.csproj
